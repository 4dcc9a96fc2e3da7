package login

import (
	"net/http"
	"testing"
)

func TestDeadCookiesAreCleared(t *testing.T) {
	for _, path := range []string{"/auth/refresh", "/auth/logout", "/auth/logout-everywhere"} {
		for name, csrfOf := range map[string]string{"with the CSRF value of the access token": "access", "with that of the refresh token": "refresh"} {
			t.Run(path+" "+name, func(t *testing.T) {
				r := start(t)
				access, refresh := r.loginCookies()
				elsewhere := r.beside()
				other, _ := elsewhere.login()
				if e := elsewhere.call("POST", "/auth/logout-everywhere", "", bearer(other)); e.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", e.StatusCode, e.body)
				}
				// Tokens of the dead session in a header leave the cookies
				// alone, as does a request without a CSRF value.
				wantDead(t, elsewhere.call("POST", path, "", bearer(other)))
				wantProblem(t, r.call("POST", path, ""), 403, "csrf_mismatch", "")
				if left := r.cookies(); len(left) != 4 {
					t.Fatalf("%d cookies are left, want four", len(left))
				}
				wantDead(t, r.call("POST", path, "", csrf(map[string]string{"access": access, "refresh": refresh}[csrfOf])))
				if left := r.cookies(); len(left) != 0 {
					t.Errorf("%d cookies are left", len(left))
				}
			})
		}
	}
}

// A page without cookies of its own may be a window beside one that has some.
func TestTokensClearNoCookies(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = -1 })
	elsewhere := r.beside()
	check := func(what string, e exchange, status int) {
		t.Helper()
		if set := e.Header.Values("Set-Cookie"); len(set) != 0 || e.StatusCode != status {
			t.Errorf("%s: %d, want %d; sets %d cookies", what, e.StatusCode, status, len(set))
		}
	}
	access, refresh := elsewhere.login()
	check("refresh", elsewhere.call("POST", "/auth/refresh", "", bearer(refresh)), 200)
	check("reuse", elsewhere.call("POST", "/auth/refresh", "", bearer(refresh)), 401)
	for _, path := range []string{"/auth/refresh", "/auth/logout", "/auth/logout-everywhere"} {
		check(path, elsewhere.call("POST", path, "", bearer(refresh)), 401)
		check(path, elsewhere.call("POST", path, "", bearer(access)), 401)
	}
	_, refresh = elsewhere.login()
	check("logout", elsewhere.call("POST", "/auth/logout", "", bearer(refresh)), 204)
	access, _ = elsewhere.login()
	check("one session", elsewhere.call("DELETE", "/auth/sessions/"+elsewhere.claims(access)["sid"].(string), "", bearer(access)), 200)
	access, _ = elsewhere.login()
	check("logout-everywhere", elsewhere.call("POST", "/auth/logout-everywhere", "", bearer(access)), 200)
}
