package login

import (
	"testing"
	"time"
)

// wantCleared is an answer that deletes all four cookies.
func wantCleared(t *testing.T, e exchange) {
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

// A person whose access token has expired logs out with the refresh token,
// whether the browser has kept the other cookie or not.
func TestLogoutByAnExpiredAccessCookie(t *testing.T) {
	for _, path := range []string{"/auth/logout", "/auth/logout-everywhere"} {
		for name, kept := range map[string]bool{"kept": true, "gone": false} {
			t.Run(path+" "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					access, refresh := r.loginCookies()
					alone := "Cookie: refresh_token_cookie=" + r.cookies()["refresh_token_cookie"]
					time.Sleep(16 * time.Minute)
					wantProblem(t, r.call("GET", "/auth/session", ""), 401, "token_expired", "")
					client, headers := r, []string(nil)
					if !kept {
						client, headers = r.beside(), []string{alone}
					}
					// The value of the expired token proves nothing for the other.
					wantProblem(t, client.call("POST", path, "", append(headers, csrf(access))...), 403, "csrf_mismatch", "do not match")
					e := client.call("POST", path, "", append(headers, csrf(refresh))...)
					if e.StatusCode >= 300 {
						t.Fatalf("%d %s", e.StatusCode, e.body)
					}
					wantCleared(t, e)
					wantDead(t, r.beside().call("POST", "/auth/refresh", "", alone, csrf(refresh)))
					again, _ := r.beside().login()
					if n := len(r.beside().list(again)); n != 1 {
						t.Errorf("%d sessions, want the new one", n)
					}
				})
			})
		}
	}
}

// With neither token there is nobody to log out, and cookies that have expired
// go.
func TestLogoutWithoutAValidCookie(t *testing.T) {
	for _, path := range []string{"/auth/logout", "/auth/logout-everywhere"} {
		inBubble(t, func(t *testing.T, r *rig) {
			_, refresh := r.loginCookies()
			time.Sleep(21 * time.Minute)
			expired := r.call("POST", path, "", csrf(refresh))
			wantProblem(t, expired, 401, "token_expired", "")
			wantCleared(t, expired)
			if left := r.cookies(); len(left) != 0 {
				t.Errorf("%d cookies are left", len(left))
			}
			forged := r.call("POST", path, "", "Cookie: access_token_cookie=a.b.c; refresh_token_cookie=d.e.f", csrf(refresh))
			wantProblem(t, forged, 401, "token_invalid", "")
			none := r.call("POST", path, "")
			wantProblem(t, none, 401, "token_missing", "")
			for _, e := range []exchange{expired, forged, none} {
				if e.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("no WWW-Authenticate in %v", e.Header)
				}
			}
			for _, e := range []exchange{forged, none} {
				if set := e.Header.Values("Set-Cookie"); len(set) != 0 {
					t.Errorf("%d cookies are set", len(set))
				}
			}
		}, func(c *setup) { c.RefreshTTL = 20 * time.Minute })
	}
}
