package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// inBothServers runs f with a gateway that serves HTTP/1.1 without TLS, and
// with one that serves HTTP/2.
func inBothServers(t *testing.T, f func(t *testing.T, start func(...func(*Config)) *rig)) {
	t.Helper()
	t.Run("http1", func(t *testing.T) {
		f(t, func(change ...func(*Config)) *rig { return start(t, change...) })
	})
	t.Run("http2", func(t *testing.T) {
		f(t, func(change ...func(*Config)) *rig {
			r, _ := overTLS(t, change...)
			return r
		})
	})
}

// TestCORSOnErrors checks that a page of a listed origin can read every
// refusal, whether the gateway or net/http sends it, and that a page of another
// origin can read none.
func TestCORSOnErrors(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "http://" + closed.Addr().String()
	closed.Close()
	inBothServers(t, func(t *testing.T, start func(...func(*Config)) *rig) {
		marks := make(chan string, 1)
		b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case marks <- r.Header.Get("Cdn-Loop"):
			default: // only the first one is read
			}
			corsUpstream(w, r)
		})
		cors := &proxy.CORS{Origins: []string{corsApp}}
		r := start(func(c *Config) {
			c.AuthCORS = cors
			c.Login.TicketBurst = 1
			c.Routes = []proxy.Route{
				{Path: "/a/", Upstreams: []string{b.URL}, CORS: cors, Limits: proxy.RouteLimits{MaxBody: 3}},
				{Path: "/admin/", Upstreams: []string{b.URL}, CORS: cors, Scopes: []string{"admin"}},
				{Path: "/fresh", Upstreams: []string{b.URL}, CORS: cors, Requirement: wsauth.Refresh},
				{Path: "/down", Upstreams: []string{down}, CORS: cors, Public: true},
				{Path: "/open/", Upstreams: []string{b.URL}, Public: true, CORS: cors},
				{Path: "/open/in", Upstreams: []string{b.URL}, CORS: cors},
				{Path: "/silent/", Upstreams: []string{b.URL}},
			}
		})
		access, _ := r.Login()
		token := bearer(access)
		if e := r.Send("POST", "/auth/ticket", strings.NewReader(`{"path":"/a/"}`), jsonType, token); e.StatusCode != 200 {
			t.Fatalf("got %d %s, want %v", e.StatusCode, e.Text, 200)
		}
		r.Send("GET", "/open/x", nil)
		mark := <-marks
		long := strings.Repeat("x", 9<<10)
		for _, c := range []struct {
			method, path, body string
			lines              []string
			status             int
		}{
			{"GET", "/a/x", "", nil, 401},
			{"GET", "/a/x", "", []string{"Authorization: Bearer nonsense"}, 401},
			{"GET", "/a/x", "", []string{token, "Authorization: Bearer two"}, 400},
			{"GET", "/a/x?token=" + access, "", nil, 400},
			{"GET", "/admin/x", "", []string{token}, 403},
			{"GET", "/fresh", "", []string{token}, 403},
			{"POST", "/a/x", "abcd", []string{token}, 413},
			{"GET", "/down", "", nil, 502},
			{"GET", "/a/x?" + long, "", []string{token}, 414},
			{"GET", "/a/x", "", []string{token, "X-Long: " + strings.Repeat(long, 4)}, 431},
			{"TRACE", "/a/x", "", []string{token}, 405},
			{"GET", "/open/%2e%2e/x", "", nil, 400},
			{"GET", "/open/a%252fb", "", nil, 400},
			{"GET", "/open/a//b", "", nil, 400},
			{"GET", "/open/IN", "", nil, 400},
			{"GET", "/open/in/", "", nil, 307},
			{"OPTIONS", "/a/x", "", nil, 401},
			{"GET", "/a/x", "", []string{"Host: a b"}, 400},
			{"GET", "/a/x", "", []string{token, "Cdn-Loop: " + strings.Repeat(mark+", ", 6)}, 508},

			{"GET", "/auth", "", nil, 404},
			{"GET", "/auth/nothing", "", nil, 404},
			{"GET", "/auth/login", "", nil, 405},
			{"OPTIONS", "/auth/login", "", nil, 405},
			{"POST", "/auth/login", "{}", nil, 415},
			{"POST", "/auth/login", "{}", []string{jsonType}, 422},
			{"POST", "/auth/login", strings.Repeat(" ", 65<<10), []string{jsonType}, 413},
			{"POST", "/auth/login", `{"username":"test","password":"wrong"}`, []string{jsonType}, 401},
			{"POST", "/auth/refresh", "", nil, 401},
			{"POST", "/auth/ticket", `{"path":"/a/"}`, []string{jsonType, token}, 429},
			{"POST", "/auth/logout", "", []string{"Authorization: Bearer nonsense"}, 401},
			{"GET", "/auth/sessions", "", nil, 401},
			{"GET", "/auth/session", "", []string{token}, 200},
			{"GET", "/auth/client/wsauth.js", "", nil, 200},
		} {
			if strings.HasPrefix(c.path, "/a/x") && slices.Contains(c.lines, "Host: a b") && strings.HasPrefix(r.URL, "https") {
				continue // net/http refuses it
			}
			for _, from := range []struct{ origin, allowed string }{{corsApp, corsApp}, {corsEvil, ""}, {"", ""}} {
				lines := slices.Clone(c.lines)
				want := map[string]string{"Vary": "Origin"}
				status := c.status
				if from.origin != "" {
					lines = append(lines, "Origin: "+from.origin)
				}
				if from.allowed != "" {
					want["Allow-Origin"], want["Expose-Headers"] = from.allowed, "Retry-After"
				} else if from.origin != "" && strings.HasPrefix(c.path, "/auth/") && c.method == "POST" {
					status = 403
				}
				e := r.Send(c.method, c.path, strings.NewReader(c.body), lines...)
				if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" || e.StatusCode != status {
					t.Errorf("%s %.40s of %q: %d, want %d: %s (- want, + got):\n%s", c.method, c.path, from.origin, e.StatusCode, status, e.Text, diff)
				}
			}
		}
		for _, path := range []string{"/silent/x", "/nothing", "/livez", "/readyz"} {
			if e := r.Send("GET", path, nil, "Origin: "+corsApp); len(corsOf(e.Header)) > 0 {
				t.Errorf("%s: got %d %v, want no CORS fields", path, e.StatusCode, e.Header)
			}
		}
		// A preflight is answered even if the request after it would be
		// refused.
		for _, path := range []string{"/a/x?" + long, "/open/in/", "/open/IN", "/auth/nothing"} {
			e := r.Send("OPTIONS", path, nil, preflightFor(corsApp, "GET")...)
			if wantStatus := map[bool]int{true: 414, false: 204}[len(path) > 1000]; e.StatusCode != wantStatus || e.Header.Get("Access-Control-Allow-Origin") != corsApp {
				t.Errorf("%.40s: got %d %v", path, e.StatusCode, e.Header)
			}
		}
	})
}

// TestCORSOfHandshakes checks that the CORS fields of answers to handshakes are
// those of the policy, never those of the upstream, although no page can read
// them.
func TestCORSOfHandshakes(t *testing.T) {
	declining := newBackendOf(t, corsUpstream)
	b := newBackend(t)
	for name, portable := range map[string]bool{"event loop": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) {
				c.Origins = []string{corsApp, corsEvil}
				cors := &proxy.CORS{Origins: []string{corsApp}, Credentials: true}
				c.Routes = []proxy.Route{
					{Path: "/socket", Upstreams: []string{b.URL}, CORS: cors},
					{Path: "/declined", Upstreams: []string{declining.URL}, CORS: cors},
				}
			}
			var r *rig
			if portable {
				r, _ = overTLS(t, change)
			} else {
				r = start(t, change)
			}
			access, _ := r.Login()
			for _, origin := range []string{corsApp, corsEvil} {
				want := map[string]string{"Vary": "Origin"}
				if origin == corsApp {
					want["Allow-Origin"], want["Allow-Credentials"], want["Expose-Headers"] = corsApp, "true", "Retry-After"
				}
				dial := func(path string, lines ...string) *http.Response {
					t.Helper()
					lines = append(lines, "Origin: "+origin)
					if portable {
						_, resp, err := r.dialTLS(path, lines...)
						if resp == nil {
							t.Fatal(err)
						}
						return resp
					}
					return r.callUnchanged("GET "+path+" HTTP/1.1", append(lines, upgradeLines...)...).Response
				}
				for _, c := range []struct {
					path   string
					lines  []string
					status int
				}{
					{"/socket", nil, 401},
					{"/socket", []string{bearer(access)}, 101},
					{"/declined", []string{bearer(access)}, 200},
				} {
					resp := dial(c.path, c.lines...)
					want["Vary"] = "Origin"
					if c.status == 200 {
						want["Vary"] = "Accept-Encoding + Origin"
					}
					if diff := cmp.Diff(want, corsOf(resp.Header)); diff != "" || resp.StatusCode != c.status {
						t.Errorf("%s from %s: %d (- want, + got):\n%s", c.path, origin, resp.StatusCode, diff)
					}
				}
			}
		})
	}
}

// TestCORSWithoutServer checks that a gateway that is used only as a handler
// answers in the same way.
func TestCORSWithoutServer(t *testing.T) {
	b := newBackendOf(t, corsUpstream)
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Origins: []string{corsApp}}}}
	})
	server := httptest.NewServer(r.g)
	defer server.Close()
	for _, method := range []string{"GET", "OPTIONS"} {
		req, err := http.NewRequest(method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", corsApp)
		req.Header.Set("Access-Control-Request-Method", "GET")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if got := resp.Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{corsApp}) {
			t.Errorf("%s: got %d and the allowed origin %q, want that of the page", method, resp.StatusCode, got)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
