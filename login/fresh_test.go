package login

import (
	"net/http"
	"strings"
	"testing"
)

// TestFreshIsLimitedAsALogin checks that repeating the password is limited like
// a login (R3).
func TestFreshIsLimitedAsALogin(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	for i := range 10 {
		e := r.Call("POST", "/auth/fresh", `{"password":"wrong"}`, jsonType, bearer(access))
		e.WantProblem(t, 401, "bad_credentials", "")
		if e.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("attempt %d: no WWW-Authenticate", i+1)
		}
	}
	r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(access)).WantProblem(t, 429, "rate_limited", "Too many")
	if access, _ := r.Login(); access == "" {
		t.Error("too many attempts also block the login")
	}
}

func TestFreshByCookieStaysInCookies(t *testing.T) {
	r := start(t)
	value, refreshValue := r.LoginCookies()
	old := r.Cookies()
	e := r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, csrf(value))
	now := r.Cookies()
	if e.StatusCode != http.StatusOK || strings.Contains(e.Text, "access_token") || now["csrf_access_token"] != e.Decode(t)["csrf_token"] || now["access_token_cookie"] == old["access_token_cookie"] {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
	if now["refresh_token_cookie"] != old["refresh_token_cookie"] || now["csrf_refresh_token"] != refreshValue {
		t.Error("the refresh cookie changed")
	}
	for body, want := range map[string]string{`{}`: "password is required", `{"password":"` + strings.Repeat("a", 1025) + `"}`: "longer than 1024"} {
		r.Call("POST", "/auth/fresh", body, jsonType, csrf(now["csrf_access_token"])).WantProblem(t, 422, "invalid_request", want)
	}
}
