package gateway

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
)

const (
	corsApp  = "https://app.example.com"
	corsEvil = "https://evil.example"
)

// preflightFor returns the header lines of a preflight.
func preflightFor(origin, method string, headers ...string) []string {
	lines := []string{"Origin: " + origin, "Access-Control-Request-Method: " + method}
	if len(headers) > 0 {
		lines = append(lines, "Access-Control-Request-Headers: "+strings.Join(headers, ","))
	}
	return lines
}

// corsOf returns the CORS fields of an answer, and Vary.
func corsOf(h http.Header) map[string]string {
	found := map[string]string{}
	for name, lines := range h {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			found[strings.TrimPrefix(name, "Access-Control-")] = strings.Join(lines, " + ")
		}
	}
	return found
}

// ask sends a request without a body, unchanged.
func (r *rig) ask(method, path string, lines ...string) logintest.Answer {
	r.T.Helper()
	return r.callUnchanged(method+" "+path+" HTTP/1.1", append(lines, "Connection: close")...)
}

// corsUpstream is an upstream that sends CORS fields itself and, on request, an
// interim answer with them.
func corsUpstream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if r.URL.RawQuery == "hints" {
		w.WriteHeader(http.StatusEarlyHints)
	}
	w.Header().Add("Vary", "Accept-Encoding")
	w.Header()["access-control-allow-credentials"] = []string{"true"}
	w.Header().Set("Access-Control-Allow-Methods", "DELETE")
	w.Header().Set("Access-Control-Expose-Headers", "X-Secret")
	w.Header().Set("Access-Control-Allow-Private-Network", "true")
	fmt.Fprint(w, "hello")
}

// TestG10_CORS checks, for each policy, the fields of answers and of
// preflights. TestCORSVectors of package attack sends hostile origins.
func TestG10_CORS(t *testing.T) {
	b := newBackendOf(t, corsUpstream)
	r := start(t, func(c *Config) {
		c.AuthCORS = &proxy.CORS{Origins: []string{corsApp}}
		c.Routes = []proxy.Route{
			{Path: "/plain", Upstreams: []string{b.URL}},
			{Path: "/free", Upstreams: []string{b.URL}, Public: true},
			{Path: "/listed", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Origins: []string{corsApp}}},
			{Path: "/cookies", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Origins: []string{corsApp}, Credentials: true, Methods: []string{"GET", "PATCH"}, MaxAge: time.Hour}},
			{Path: "/any", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Origins: []string{"*"}, Headers: []string{"x-a", "Authorization"}, Expose: []string{}, MaxAge: -1}},
			{Path: "/below", Upstreams: []string{b.URL}, Public: true, CORS: &proxy.CORS{Origins: []string{"https://*.example.com"}}},
			{Path: "/null", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Origins: []string{"null"}}},
		}
	})
	access, _ := r.Login()
	const preflightVary = "Origin + Access-Control-Request-Method + Access-Control-Request-Headers"
	for _, c := range []struct {
		path, origin string
		allowed      string // Access-Control-Allow-Origin
	}{
		{"/listed", corsApp, corsApp},
		{"/listed", corsEvil, ""},
		{"/listed", "", ""},
		{"/cookies", corsApp, corsApp},
		{"/cookies", corsEvil, ""},
		{"/any", corsEvil, "*"},
		{"/any", "null", "*"},
		{"/below", corsApp, corsApp},
		{"/below", "https://example.com", ""},
		{"/null", "null", "null"},
		{"/null", corsApp, ""},
	} {
		credentials, public := c.path == "/cookies", c.path == "/below"
		var sent []string
		if c.origin != "" {
			sent = append(sent, "Origin: "+c.origin)
		}
		want := map[string]string{"Vary": "Origin"}
		if c.allowed != "" {
			want["Allow-Origin"] = c.allowed
			want["Expose-Headers"] = "Retry-After"
			if credentials {
				want["Allow-Credentials"] = "true"
			}
			if c.path == "/any" {
				delete(want, "Expose-Headers")
			}
		}
		if !public {
			e := r.ask("GET", c.path, sent...)
			e.WantProblem(t, 401, "token_missing", "")
			if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" {
				t.Errorf("%s refused to %q (- want, + got):\n%s", c.path, c.origin, diff)
			}
		}
		want["Vary"] = "Accept-Encoding + Origin"
		e := r.ask("GET", c.path, append(sent, bearer(access))...)
		if e.StatusCode != 200 || e.Text != "hello" {
			t.Fatalf("%s: got %d %s", c.path, e.StatusCode, e.Text)
		}
		if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" {
			t.Errorf("%s of %q (- want, + got):\n%s", c.path, c.origin, diff)
		}

		if c.origin == "" {
			continue
		}
		delete(want, "Expose-Headers")
		want["Vary"] = preflightVary
		status := 403
		if c.allowed != "" {
			status = 204
			want["Allow-Methods"], want["Allow-Headers"], want["Max-Age"] = "GET, HEAD, POST", "Authorization, Content-Type, X-Csrf-Token", "600"
			switch c.path {
			case "/cookies":
				want["Allow-Methods"], want["Max-Age"] = "GET, PATCH", "3600"
			case "/any":
				want["Allow-Headers"], want["Max-Age"] = "Authorization, X-A", "0"
			}
		}
		e = r.ask("OPTIONS", c.path, append(preflightFor(c.origin, "PUT", "x-evil", "authorization"), "Access-Control-Request-Private-Network: true")...)
		if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" || e.StatusCode != status {
			t.Errorf("preflight of %q for %s: %d (- want, + got):\n%s", c.origin, c.path, e.StatusCode, diff)
		}
		if status == 403 {
			e.WantProblem(t, 403, "origin_not_allowed", "")
		} else if e.Text != "" {
			t.Errorf("a preflight got %q", e.Text)
		}
	}
	for _, path := range []string{"/plain", "/free"} { // routes without a policy
		e := r.ask("OPTIONS", path, preflightFor(corsApp, "GET")...)
		if guarded := path == "/plain"; guarded != (e.StatusCode == 401) || guarded == (e.Header.Get("Access-Control-Allow-Origin") != "") {
			t.Errorf("a preflight for %s: %d %v", path, e.StatusCode, e.Header)
		}
		if e = r.ask("GET", path, "Origin: "+corsApp, bearer(access)); e.Header.Get("Access-Control-Allow-Origin") != "*" || e.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: header %v, want that of its upstream", path, e.Header)
		}
	}
	if e := r.ask("GET", "/plain", "Origin: "+corsApp); e.StatusCode != 401 || len(corsOf(e.Header)) > 0 {
		t.Errorf("got %d %v", e.StatusCode, e.Header)
	}
}

// TestCORSAfterInterimAnswer checks that an interim answer and the final one
// each have the fields of the policy once.
func TestCORSAfterInterimAnswer(t *testing.T) {
	b := newBackendOf(t, corsUpstream)
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, CORS: &proxy.CORS{Origins: []string{corsApp}}}}
	})
	conn := r.Connect()
	if _, err := fmt.Fprintf(conn, "GET /?hints HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\n\r\n", corsApp); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, status := range []int{103, 200} {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"Allow-Origin": corsApp, "Expose-Headers": "Retry-After", "Vary": "Origin"}
		if status == 200 {
			want["Vary"] = "Accept-Encoding + Origin"
		}
		if diff := cmp.Diff(want, corsOf(resp.Header)); diff != "" || resp.StatusCode != status {
			t.Errorf("%d (- want, + got):\n%s", resp.StatusCode, diff)
		}
	}
}

// TestCORSChangesWithItsRoute checks that an update of a route replaces or
// removes its policy.
func TestCORSChangesWithItsRoute(t *testing.T) {
	b := newBackend(t)
	route := func(c *proxy.CORS) []proxy.Route {
		return []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, CORS: c}}
	}
	r := start(t, func(c *Config) { c.Routes = route(&proxy.CORS{Origins: []string{corsApp}}) })
	wants := func(origin, allowed string) {
		t.Helper()
		for _, method := range []string{"GET", "OPTIONS"} {
			if e := r.ask(method, "/", preflightFor(origin, "GET")...); e.Header.Get("Access-Control-Allow-Origin") != allowed {
				t.Errorf("%s of %s: got %d %v, want the allowed origin %q", method, origin, e.StatusCode, e.Header, allowed)
			}
		}
	}
	wants(corsApp, corsApp)
	for range 2 { // the second time nothing changes
		if err := r.g.Update(route(&proxy.CORS{Origins: []string{corsEvil}})); err != nil {
			t.Fatal(err)
		}
		wants(corsApp, "")
		wants(corsEvil, corsEvil)
	}
	if err := r.g.Update(route(nil)); err != nil {
		t.Fatal(err)
	}
	wants(corsEvil, "")
	if e := r.ask("GET", "/", "Origin: "+corsEvil); len(corsOf(e.Header)) > 0 {
		t.Errorf("got %v, want no CORS fields", e.Header)
	}
	if err := r.g.RemoveRoutes(); err != nil {
		t.Fatal(err)
	}
	wants(corsEvil, "")
}

// TestCORSHeadersOfExtractors checks that pages may set the headers in which
// their route looks for tokens.
func TestCORSHeadersOfExtractors(t *testing.T) {
	for want, extractors := range map[string][]wsauth.Extractor{
		"Authorization, Content-Type, X-Csrf-Token":            nil,
		"Authorization, Content-Type":                          {wsauth.Header{}},
		"Authorization, Content-Type, X-Token":                 {wsauth.Header{Name: "x-token", NoScheme: true}, wsauth.Ticket{}},
		"Authorization, Content-Type, X-One, X-Two":            {wsauth.Cookies{Access: wsauth.CookieSpec{CSRFHeader: "X-One"}, Refresh: wsauth.CookieSpec{CSRFHeader: "X-TWO"}}},
		"Authorization, Content-Type, X-Csrf-Token, X-Refresh": {wsauth.Cookies{Refresh: wsauth.CookieSpec{CSRFHeader: "X-Refresh"}}},
	} {
		b := newBackend(t)
		r := start(t, func(c *Config) {
			c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Extractors: extractors, CORS: &proxy.CORS{Origins: []string{corsApp}}}}
		})
		if got := r.ask("OPTIONS", "/", preflightFor(corsApp, "GET")...).Header.Get("Access-Control-Allow-Headers"); got != want {
			t.Errorf("%v: %q, want %q", extractors, got, want)
		}
	}
}
