package gateway

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
)

// An interim is an informational answer as a client gets it.
type interim struct {
	code   int
	header http.Header
}

// TestInterimAnswers checks that interim answers reach the client, over
// HTTP/1.1 and HTTP/2, without the cookies of the gateway's login and without
// the fields of the upstream's connection, and that they do not change the
// final answer.
func TestInterimAnswers(t *testing.T) {
	const fields = "Link: </a.css>; rel=preload\r\n" +
		"Set-Cookie: access_token_cookie=x; Path=/\r\nSet-Cookie: __Host-refresh_token_cookie=; Max-Age=0\r\nSet-Cookie: theirs=1\r\n" +
		"Clear-Site-Data: \"cookies\", \"cache\"\r\nClear-Site-Data: \"*\"\r\n" +
		"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\r\n"
	hint := func(status string) string { return "HTTP/1.1 " + status + "\r\n" + fields }
	want := http.Header{"Link": {"</a.css>; rel=preload"}, "Set-Cookie": {"theirs=1"}, "Clear-Site-Data": {`"cache"`}}
	cases := map[string]struct {
		text  string
		codes []int
	}{
		"none":  {"", nil},
		"100":   {hint("100 Continue"), []int{100}},
		"102":   {hint("102 Processing"), []int{102}},
		"103":   {hint("103 Early Hints"), []int{103}},
		"twice": {hint("103 Early Hints") + hint("103 Early Hints"), []int{103, 103}},
		"199":   {hint("199 Whatever"), []int{199}},
	}
	finals := map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + fields + "<p>x",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + fields + "4\r\n<p>x\r\n0\r\n\r\n",
	}
	var routes []proxy.Route
	for name, c := range cases {
		for framing, final := range finals {
			routes = append(routes, proxy.Route{Path: "/" + name + "/" + framing, Upstreams: []string{rawBackend(t, c.text+final).URL}, Public: true})
		}
	}
	change := func(c *Config) { c.Routes = routes }
	plain := start(t, change)
	secure, _ := overTLS(t, change)
	for proto, r := range map[string]*rig{"HTTP/1.1": plain, "HTTP/2.0": secure} {
		for _, route := range routes {
			t.Run(proto+route.Path, func(t *testing.T) {
				got, resp := askInterim(t, r, route.Path)
				var codes []int
				for _, i := range got {
					codes = append(codes, i.code)
					if !maps.EqualFunc(i.header, want, slices.Equal[[]string]) {
						t.Errorf("%d has %v, want %v", i.code, i.header, want)
					}
				}
				name := strings.Split(route.Path, "/")[1]
				if !slices.Equal(codes, cases[name].codes) || resp.Proto != proto {
					t.Errorf("%s, interim answers %v, want %v", resp.Proto, codes, cases[name].codes)
				}
				if types, ok := resp.Header["Content-Type"]; ok {
					t.Errorf("a content type was guessed: %q", types)
				}
				for name, lines := range want {
					if !slices.Equal(resp.Header[name], lines) {
						t.Errorf("the answer has %s: %q", name, resp.Header[name])
					}
				}
			})
		}
	}
}

func askInterim(t *testing.T, r *rig, path string) ([]interim, *http.Response) {
	t.Helper()
	var got []interim
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			got = append(got, interim{code, http.Header(h)})
			return nil
		},
	})
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, r.URL+path, nil))
	resp, err := r.HTTP.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "<p>x" || err != nil {
		t.Errorf("got the body %q, %v", body, err)
	}
	return got, resp
}

// TestNoInterimAnswersInHTTP10 checks that clients of HTTP/1.0, which has no
// interim answers, get none (RFC 9110 section 15.2).
func TestNoInterimAnswersInHTTP10(t *testing.T) {
	r := serveBehind(t, rawBackend(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+answerTemplate))
	conn := r.Connect()
	if _, err := io.WriteString(conn, "GET /public/a HTTP/1.0\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK || len(resp.Header["Link"]) > 0 {
		t.Errorf("got %v, %v, want 200 without Link", resp, err)
	}
}

// TestKeepLogin checks that upstreams cannot change the gateway's login, unless
// their route has KeepCredential.
func TestKeepLogin(t *testing.T) {
	b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(r.URL.Query().Get("name"), r.URL.Query().Get("value"))
	})
	r := serveBehind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, proxy.Route{Path: "/own/", Upstreams: []string{b.URL}, Public: true, KeepCredential: true})
	})
	access, _ := r.Login()
	for _, c := range []struct{ name, value, want string }{
		{"Set-Cookie", "access_token_cookie=x", ""},
		{"Set-Cookie", "= \taccess_token_cookie =x", ""},
		{"Set-Cookie", "=access_token_cookie=x", ""},
		{"Set-Cookie", "theirs=x", "theirs=x"},
		{"Clear-Site-Data", `"cookies"`, ""},
		{"Clear-Site-Data", `"*"`, ""},
		{"Clear-Site-Data", `"COOKIES"`, ""},
		{"Clear-Site-Data", `cookies`, ""},
		{"Clear-Site-Data", `"cook\ies", "x y"`, ""},
		{"Clear-Site-Data", `"cache","cookies","storage"`, `"cache", "storage"`},
		{"Clear-Site-Data", `"executionContexts"`, `"executionContexts"`},
	} {
		for route, want := range map[string]string{"/": c.want, "/public/": c.want, "/own/": c.value} {
			e := r.get(route+"?"+url.Values{"name": {c.name}, "value": {c.value}}.Encode(), bearer(access))
			if got := e.Header[c.name]; strings.Join(got, "|") != want || (len(got) > 0) != (want != "") {
				t.Errorf("%s: %s: %s becomes %q, want %q", route, c.name, c.value, got, want)
			}
		}
	}
}
