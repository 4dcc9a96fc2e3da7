package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/idptest"
	"wsauth/login"
)

func idempotent(key string) string { return "Idempotency-Key: " + key }

// wantDead checks the answer to a token of a session that has ended.
func wantDead(t *testing.T, e exchange) {
	t.Helper()
	if reason := e.decode(t)["reason"]; e.StatusCode != http.StatusUnauthorized || reason != "token_revoked" && reason != "session_ended" {
		t.Errorf("a token of a dead session: %d %s", e.StatusCode, e.body)
	}
}

// TestDeviceCookieStaysHere: upstreams neither see the cookie of a device nor
// set it.
func TestDeviceCookieStaysHere(t *testing.T) {
	b := &backend{}
	b.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = []string{r.URL.RawQuery + "=x; Path=/", "theirs=1"}
		b.ServeHTTP(w, r)
	}))
	r := behind(t, b)
	for _, name := range []string{"login_device", "__Host-login_device", "__Secure-login_device"} {
		r.get("/public/a", "Cookie: "+name+"=x; theirs=1")
		if got := b.last().Header.Get("Cookie"); got != "theirs=1" {
			t.Errorf("an upstream gets the cookies %q", got)
		}
		if set := r.get("/public/a?" + name).Header["Set-Cookie"]; !slices.Equal(set, []string{"theirs=1"}) {
			t.Errorf("an upstream sets %q", set)
		}
	}
}

func TestC17_RequestsOfOtherSitesAreRefused(t *testing.T) {
	r := start(t)
	value, refreshValue := r.loginCookies()
	requests := map[string][]string{
		"POST /auth/login":             {jsonType},
		"POST /auth/refresh":           {csrf(refreshValue)},
		"POST /auth/fresh":             {jsonType, csrf(value)},
		"POST /auth/ticket":            {jsonType, csrf(value)},
		"POST /auth/logout":            {csrf(value)},
		"POST /auth/logout-everywhere": {csrf(value)},
		"DELETE /auth/sessions/x":      {csrf(value)},
	}
	for _, route := range must(r.g.endpoints(Config{Login: login.Config{Prefix: "/auth", Users: demo.Users{}}})) {
		if _, tested := requests[strings.Replace(route.method+" "+route.path, "{sid}", "x", 1)]; !tested && route.method != http.MethodGet {
			t.Errorf("%s %s is not tested", route.method, route.path)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		method, path, _ := strings.Cut(name, " ")
		for _, sign := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
			e := r.call(method, path, `{"username":"test","password":"test"}`, append(slices.Clone(requests[name]), sign)...)
			wantProblem(t, e, 403, "origin_not_allowed", "other sites")
		}
		e := r.call("OPTIONS", path, "", "Origin: https://evil.example", "Access-Control-Request-Method: "+method) // C18
		if e.StatusCode != http.StatusMethodNotAllowed || e.Header.Get("Access-Control-Allow-Origin") != "" || e.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("a preflight of %s gets %d with %v", path, e.StatusCode, e.Header)
		}
	}
}

func TestC13_CSRFOfAnotherSession(t *testing.T) {
	r := start(t)
	before, _ := r.loginCookies()
	value, _ := r.loginCookies() // C15: a value of before the login
	wantProblem(t, r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, csrf(before)), 403, "csrf_mismatch", "do not match")
	r.wantClose(r.open("?csrf_token="+before), 3003, "csrf_mismatch")
	if e := r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, csrf(value)); e.StatusCode != http.StatusOK {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
}

// Tokens of a provider whose clock is ahead end with a logout everywhere, and
// so do the sockets that they have opened.
func TestLogoutEverywhereWithAProvidersClockAhead(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	access := p.AccessToken("ada", "s1", map[string]any{"iat": time.Now().Unix() + 20})
	conn := r.echoes(access)
	other := r.echoes(p.AccessToken("bert", "s2", map[string]any{"iat": time.Now().Unix() + 20}))
	if e := r.call("POST", "/auth/logout-everywhere", "", bearer(access)); e.StatusCode != http.StatusOK || e.decode(t)["sockets"] != float64(1) {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
	r.wantClose(conn, 3000, "session_ended")
	wantDead(t, r.call("GET", "/auth/session", "", bearer(access)))
	r.wantEcho(other)
}
