package login

import (
	"net/http"
	"strings"
	"testing"
)

// TestFreshIsLimitedAsALogin: repeating the password is limited like a login
// (R3).
func TestFreshIsLimitedAsALogin(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	for i := range 10 {
		e := r.call("POST", "/auth/fresh", `{"password":"wrong"}`, jsonType, bearer(access))
		wantProblem(t, e, 401, "bad_credentials", "")
		if e.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("attempt %d: no WWW-Authenticate", i+1)
		}
	}
	wantProblem(t, r.call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(access)), 429, "rate_limited", "Too many")
	if access, _ := r.login(); access == "" {
		t.Error("too many attempts also block the login")
	}
}

func TestFreshByCookieStaysInCookies(t *testing.T) {
	r := start(t)
	value, refreshValue := r.loginCookies()
	old := r.cookies()
	e := r.call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, csrf(value))
	now := r.cookies()
	if e.StatusCode != http.StatusOK || strings.Contains(e.body, "access_token") || now["csrf_access_token"] != e.decode(t)["csrf_token"] || now["access_token_cookie"] == old["access_token_cookie"] {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
	if now["refresh_token_cookie"] != old["refresh_token_cookie"] || now["csrf_refresh_token"] != refreshValue {
		t.Error("the refresh cookie changed")
	}
	for body, want := range map[string]string{`{}`: "password is required", `{"password":"` + strings.Repeat("a", 1025) + `"}`: "longer than 1024"} {
		wantProblem(t, r.call("POST", "/auth/fresh", body, jsonType, csrf(now["csrf_access_token"])), 422, "invalid_request", want)
	}
}
