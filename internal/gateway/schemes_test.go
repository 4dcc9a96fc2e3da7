package gateway

import (
	"net/http"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// basic is the password of a site, which browsers send in addition to our
// cookies.
const basic = "Authorization: Basic YWxpY2U6c2VjcmV0"

// inBoth runs f with routes to a backend, over plain HTTP/1.1 and over HTTP/2.
func inBoth(t *testing.T, f func(t *testing.T, r *rig, b *backend)) {
	t.Helper()
	for name, begin := range map[string]func(*testing.T, ...func(*Config)) *rig{
		"http1": start,
		"http2": func(t *testing.T, change ...func(*Config)) *rig {
			r, _ := overTLS(t, change...)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			f(t, begin(t, func(c *Config) {
				c.Routes = []proxy.Route{
					{Path: "/", Upstreams: []string{b.URL}},
					{Path: "/optional/", Upstreams: []string{b.URL}, Requirement: wsauth.Optional},
					{Path: "/public/", Upstreams: []string{b.URL}, Public: true},
				}
			}), b)
		})
	}
}

// TestBasicWithCookies checks that a site behind HTTP Basic, whose browsers
// send the password with every request, can use the cookie login with all
// endpoints and routes, and that the upstream gets the password.
func TestBasicWithCookies(t *testing.T) {
	inBoth(t, func(t *testing.T, r *rig, b *backend) {
		e := r.Call("POST", "/auth/login", `{"username":"test","password":"test","cookies":true}`, jsonType, basic)
		if e.StatusCode != http.StatusOK {
			t.Fatalf("login: %d %s", e.StatusCode, e.Text)
		}
		v := e.Decode(t)
		csrf, refreshCSRF := "X-CSRF-Token: "+v["csrf_token"].(string), "X-CSRF-Token: "+v["refresh_csrf_token"].(string)
		for _, path := range []string{"/x", "/optional/x", "/public/x"} {
			if e := r.Call("GET", path, "", basic); e.StatusCode != http.StatusOK || !strings.HasSuffix(e.Text, map[bool]string{true: "user=", false: "user=test"}[path == "/public/x"]) {
				t.Fatalf("%s: got %d %s", path, e.StatusCode, e.Text)
			}
			if got := b.last().Header; got.Get("Authorization") != strings.TrimPrefix(basic, "Authorization: ") || strings.Contains(got.Get("Cookie"), "token_cookie") {
				t.Errorf("%s: the backend has %v", path, got)
			}
		}
		if e := r.Call("POST", "/x", "", basic, csrf); e.StatusCode != http.StatusOK {
			t.Errorf("POST: %d %s", e.StatusCode, e.Text)
		}
		for _, c := range []struct {
			method, path, body, csrf string
			status                   int
		}{
			{"GET", "/auth/session", "", csrf, 200},
			{"GET", "/auth/sessions", "", csrf, 200},
			{"POST", "/auth/ticket", `{"path":"/x"}`, csrf, 200},
			{"DELETE", "/auth/sessions/nothing", "", csrf, 404},
			{"POST", "/auth/refresh", "", refreshCSRF, 200},
		} {
			e := r.Call(c.method, c.path, c.body, jsonType, c.csrf, basic)
			if e.StatusCode != c.status {
				t.Errorf("%s %s: got %d %s, want %v", c.method, c.path, e.StatusCode, e.Text, c.status)
			}
			if c.path == "/auth/refresh" {
				csrf = "X-CSRF-Token: " + e.Decode(t)["csrf_token"].(string)
			}
		}
		if e := r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, csrf, basic); e.StatusCode != http.StatusOK {
			t.Errorf("fresh: %d %s", e.StatusCode, e.Text)
		} else {
			csrf = "X-CSRF-Token: " + e.Decode(t)["csrf_token"].(string)
		}
		if e := r.Call("POST", "/auth/logout", "", csrf, basic); e.StatusCode != http.StatusNoContent || len(e.Cookies()) == 0 {
			t.Errorf("logout: %d, %d cookies cleared", e.StatusCode, len(e.Cookies()))
		}
		if len(r.Cookies()) > 1 { // the device's cookie stays
			t.Errorf("after the logout: %v", r.Cookies())
		}
		r.LoginCookies()
		v = r.Call("POST", "/auth/login", `{"username":"test","password":"test","cookies":true}`, jsonType, basic).Decode(t)
		if e := r.Call("POST", "/auth/logout-everywhere", "", "X-CSRF-Token: "+v["csrf_token"].(string), basic); e.StatusCode != http.StatusOK || len(e.Cookies()) == 0 {
			t.Errorf("logout everywhere: %d %s", e.StatusCode, e.Text)
		}
	})
}

// TestBasicAlone checks that HTTP Basic is not a credential: only optional and
// public routes admit it. Two Authorization fields are refused.
func TestBasicAlone(t *testing.T) {
	inBoth(t, func(t *testing.T, r *rig, b *backend) {
		for _, path := range []string{"/optional/x", "/public/x"} {
			if e := r.Call("GET", path, "", basic); e.StatusCode != http.StatusOK || !strings.HasSuffix(e.Text, "user=") {
				t.Fatalf("%s: got %d %s", path, e.StatusCode, e.Text)
			}
			if got := b.last().Header.Values("Authorization"); len(got) != 1 {
				t.Errorf("%s: the backend has %q", path, got)
			}
		}
		n := b.count()
		for _, c := range [][2]string{
			{"GET", "/x"}, {"POST", "/auth/ticket"}, {"POST", "/auth/refresh"}, {"POST", "/auth/fresh"}, {"GET", "/auth/session"}, {"GET", "/auth/sessions"},
			{"POST", "/auth/logout"}, {"POST", "/auth/logout-everywhere"}, {"DELETE", "/auth/sessions/x"},
		} {
			e := r.Call(c[0], c[1], "", basic)
			e.WantProblem(t, 401, "token_missing", "Bad Authorization header. Expected value 'Bearer <JWT>'")
			if got := e.Header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("%s: WWW-Authenticate %q", c[1], got)
			}
			r.Call(c[0], c[1], "", basic, basic).WantProblem(t, 400, "invalid_request", "More than one Authorization header")
		}
		r.Call("GET", "/optional/x", "", basic, "Authorization: Bearer x").WantProblem(t, 400, "invalid_request", "More than one")
		if b.count() != n {
			t.Errorf("the backend got %d more requests", b.count()-n)
		}
	})
}

// TestBasicWithTickets checks that a socket opens with a ticket or with
// cookies while the browser sends the password of the site.
func TestBasicWithTickets(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	access, _ := r.Login()
	line := strings.TrimPrefix(basic, "Authorization: ")
	e := r.Call("POST", "/auth/ticket", `{"path":"/socket"}`, jsonType, bearer(access), "Origin: "+r.URL)
	r.WantEcho(r.socket("/socket?ticket="+e.Decode(t)["ticket"].(string), basic, "Origin: "+r.URL), "hello")
	if got := b.last(); got.Header.Get("Authorization") != line || got.Header.Get("X-User") != "test" || got.URL.RawQuery != "" {
		t.Errorf("the backend has %v %s", got.Header, got.URL)
	}
	csrf, _ := r.LoginCookies()
	r.WantEcho(r.socket("/socket?csrf_token="+csrf, basic, "Origin: "+r.URL), "hello")
	if got := b.last(); got.Header.Get("Authorization") != line || got.Header.Get("X-User") != "test" || got.Header.Get("Cookie") != "" {
		t.Errorf("the backend has %v", got.Header)
	}
}
