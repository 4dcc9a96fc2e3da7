package login

import (
	"net/http"
	"testing"
	"time"

	"wsauth/internal/logintest"
)

func TestEndedCookiesAreCleared(t *testing.T) {
	for _, path := range []string{"/auth/refresh", "/auth/logout", "/auth/logout-everywhere"} {
		for name, csrfOf := range map[string]string{"with the CSRF value of the access token": "access", "with that of the refresh token": "refresh"} {
			t.Run(path+" "+name, func(t *testing.T) {
				r := start(t)
				access, refresh := r.LoginCookies()
				elsewhere := r.beside()
				other, _ := elsewhere.Login()
				if e := elsewhere.Call("POST", "/auth/logout-everywhere", "", bearer(other)); e.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", e.StatusCode, e.Text)
				}
				// A request with tokens of the ended session in a header does
				// not delete the cookies, nor does a request without a CSRF
				// value.
				elsewhere.Call("POST", path, "", bearer(other)).WantEnded(t)
				r.Call("POST", path, "").WantProblem(t, 403, "csrf_mismatch", "")
				if left := r.Cookies(); len(left) != 4 {
					t.Fatalf("%d cookies are left, want four", len(left))
				}
				r.Call("POST", path, "", csrf(map[string]string{"access": access, "refresh": refresh}[csrfOf])).WantEnded(t)
				if left := r.Cookies(); len(left) != 0 {
					t.Errorf("%d cookies are left", len(left))
				}
			})
		}
	}
}

// TestTokensClearNoCookies checks that requests with tokens in headers delete
// no cookies, because the cookies may belong to another window.
func TestTokensClearNoCookies(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = -1 })
	elsewhere := r.beside()
	check := func(what string, e logintest.Answer, status int) {
		t.Helper()
		if set := e.Header.Values("Set-Cookie"); len(set) != 0 || e.StatusCode != status {
			t.Errorf("%s: %d, want %d; sets %d cookies", what, e.StatusCode, status, len(set))
		}
	}
	access, refresh := elsewhere.Login()
	check("refresh", elsewhere.Call("POST", "/auth/refresh", "", bearer(refresh)), 200)
	check("reuse", elsewhere.Call("POST", "/auth/refresh", "", bearer(refresh)), 401)
	for _, path := range []string{"/auth/refresh", "/auth/logout", "/auth/logout-everywhere"} {
		check(path, elsewhere.Call("POST", path, "", bearer(refresh)), 401)
		check(path, elsewhere.Call("POST", path, "", bearer(access)), 401)
	}
	_, refresh = elsewhere.Login()
	check("logout", elsewhere.Call("POST", "/auth/logout", "", bearer(refresh)), 204)
	access, _ = elsewhere.Login()
	check("one session", elsewhere.Call("DELETE", "/auth/sessions/"+elsewhere.Claims(access)["sid"].(string), "", bearer(access)), 200)
	access, _ = elsewhere.Login()
	check("logout-everywhere", elsewhere.Call("POST", "/auth/logout-everywhere", "", bearer(access)), 200)
}

// wantCleared checks that an answer deletes all four cookies.
func wantCleared(t *testing.T, e logintest.Answer) {
	t.Helper()
	cleared := map[string]bool{}
	for _, c := range e.Cookies() {
		if c.MaxAge >= 0 {
			t.Errorf("%s is set", c.Name)
		}
		cleared[c.Name] = true
	}
	if len(cleared) != 4 {
		t.Errorf("cleared are %v, want all four", cleared)
	}
}

// TestLogoutByAnExpiredAccessCookie checks that a user whose access token has
// expired can log out with the refresh token, whether or not the browser has
// kept the access cookie.
func TestLogoutByAnExpiredAccessCookie(t *testing.T) {
	for _, path := range []string{"/auth/logout", "/auth/logout-everywhere"} {
		for name, kept := range map[string]bool{"kept": true, "gone": false} {
			t.Run(path+" "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					access, refresh := r.LoginCookies()
					alone := "Cookie: refresh_token_cookie=" + r.Cookies()["refresh_token_cookie"]
					time.Sleep(16 * time.Minute)
					r.Call("GET", "/auth/session", "").WantProblem(t, 401, "token_expired", "")
					client, headers := r, []string(nil)
					if !kept {
						client, headers = r.beside(), []string{alone}
					}
					// The CSRF value of the expired access token is not valid
					// for the refresh token.
					client.Call("POST", path, "", append(headers, csrf(access))...).WantProblem(t, 403, "csrf_mismatch", "do not match")
					e := client.Call("POST", path, "", append(headers, csrf(refresh))...)
					if e.StatusCode >= 300 {
						t.Fatalf("%d %s", e.StatusCode, e.Text)
					}
					wantCleared(t, e)
					r.beside().Call("POST", "/auth/refresh", "", alone, csrf(refresh)).WantEnded(t)
					again, _ := r.beside().Login()
					if n := len(r.beside().list(again)); n != 1 {
						t.Errorf("%d sessions, want the new one", n)
					}
				})
			})
		}
	}
}

// TestLogoutWithoutAValidCookie checks that a logout without a valid token is
// refused, and that expired cookies are deleted.
func TestLogoutWithoutAValidCookie(t *testing.T) {
	for _, path := range []string{"/auth/logout", "/auth/logout-everywhere"} {
		inBubble(t, func(t *testing.T, r *rig) {
			_, refresh := r.LoginCookies()
			time.Sleep(21 * time.Minute)
			expired := r.Call("POST", path, "", csrf(refresh))
			expired.WantProblem(t, 401, "token_expired", "")
			wantCleared(t, expired)
			if left := r.Cookies(); len(left) != 0 {
				t.Errorf("%d cookies are left", len(left))
			}
			forged := r.Call("POST", path, "", "Cookie: access_token_cookie=a.b.c; refresh_token_cookie=d.e.f", csrf(refresh))
			forged.WantProblem(t, 401, "token_invalid", "")
			none := r.Call("POST", path, "")
			none.WantProblem(t, 401, "token_missing", "")
			for _, e := range []logintest.Answer{expired, forged, none} {
				if e.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("no WWW-Authenticate in %v", e.Header)
				}
			}
			for _, e := range []logintest.Answer{forged, none} {
				if set := e.Header.Values("Set-Cookie"); len(set) != 0 {
					t.Errorf("%d cookies are set", len(set))
				}
			}
		}, func(c *setup) { c.RefreshTTL = 20 * time.Minute })
	}
}
