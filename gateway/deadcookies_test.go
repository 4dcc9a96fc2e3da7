package gateway

import (
	"net/http"
	"testing"
)

// beside is a client of the same gateway that holds no cookies.
func (r *rig) beside() *rig {
	other, client := *r, *r.client
	client.Jar = nil
	other.client = &client
	return &other
}

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
				// Tokens of the dead session in a header leave the cookies alone, as does a request without a CSRF value.
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
	r := start(t, func(c *Config) { c.RefreshGrace = -1 })
	elsewhere := r.beside()
	check := func(what string, e exchange) {
		t.Helper()
		if set := e.Header.Values("Set-Cookie"); len(set) != 0 {
			t.Errorf("%s: %d, sets %d cookies", what, e.StatusCode, len(set))
		}
	}
	access, refresh := elsewhere.login()
	check("refresh", elsewhere.call("POST", "/auth/refresh", "", bearer(refresh)))
	check("reuse", elsewhere.call("POST", "/auth/refresh", "", bearer(refresh)))
	for _, path := range []string{"/auth/refresh", "/auth/logout", "/auth/logout-everywhere"} {
		check(path, elsewhere.call("POST", path, "", bearer(refresh)))
		check(path, elsewhere.call("POST", path, "", bearer(access)))
	}
	_, refresh = elsewhere.login()
	check("logout", elsewhere.call("POST", "/auth/logout", "", bearer(refresh)))
	access, _ = elsewhere.login()
	check("one session", elsewhere.call("DELETE", "/auth/sessions/"+elsewhere.claims(access)["sid"].(string), "", bearer(access)))
	access, _ = elsewhere.login()
	check("logout-everywhere", elsewhere.call("POST", "/auth/logout-everywhere", "", bearer(access)))
}
