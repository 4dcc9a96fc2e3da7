package login

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
)

func TestRefreshRotates(t *testing.T) {
	r := start(t)
	access, refresh := r.Login()
	before := r.Claims(access)
	e := r.Call("POST", "/auth/refresh", "", bearer(refresh))
	newAccess, newRefresh := r.Renewed(e)
	if newRefresh == "" || newRefresh == refresh || e.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", e.Text, e.Header)
	}
	after := r.Claims(newAccess)
	if after["sid"] != before["sid"] || after["fresh"] != false || after["jti"] == before["jti"] {
		t.Errorf("before %v, after %v", before, after)
	}
	r.Call("POST", "/auth/refresh", "", bearer(access)).WantProblem(t, 403, "wrong_token_type", "Only refresh tokens")
	if _, again := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(newRefresh))); again == newRefresh {
		t.Error("the second refresh gave the same token")
	}
	if log := r.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has an error:\n%s", log)
	}
}

func TestRefreshByCookieStaysInCookies(t *testing.T) {
	r := start(t)
	accessCSRF, refreshCSRF := r.LoginCookies()
	old := r.Cookies()
	r.Call("POST", "/auth/refresh", "").WantProblem(t, 403, "csrf_mismatch", "Missing CSRF")                   // C12
	r.Call("POST", "/auth/refresh", "", csrf(accessCSRF)).WantProblem(t, 403, "csrf_mismatch", "do not match") // the value of another token
	e := r.Call("POST", "/auth/refresh", "", csrf(refreshCSRF))
	if e.StatusCode != http.StatusOK || strings.Contains(e.Text, "access_token\"") {
		t.Fatalf("%d %s", e.StatusCode, e.Text)
	}
	v, now := e.Decode(t), r.Cookies()
	for name, said := range map[string]any{"csrf_access_token": v["csrf_token"], "csrf_refresh_token": v["refresh_csrf_token"]} {
		if now[name] != said || now[name] == old[name] {
			t.Errorf("the cookie %s is not renewed", name)
		}
	}
	if now["access_token_cookie"] == old["access_token_cookie"] || now["refresh_token_cookie"] == old["refresh_token_cookie"] {
		t.Error("the cookies were not renewed")
	}
}

func TestL7_RefreshReuseEndsTheSessionAndItsSockets(t *testing.T) {
	for _, name := range []string{"after the grace", "of the last but one"} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *setup) {
				if name == "after the grace" {
					c.RefreshGrace = -1
				}
			})
			_, stolen := r.Login()
			other, _ := r.Login()
			access, refresh := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(stolen)))
			if name != "after the grace" {
				access, refresh = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
			}
			conn, otherConn := r.echoes(access), r.echoes(other)
			r.Call("POST", "/auth/refresh", "", bearer(stolen)).WantProblem(t, 401, "session_ended", "log in again")
			r.WantClose(conn, 3000, "session_ended")
			for path, raw := range map[string]string{"/auth/refresh": refresh, "/auth/logout": access} {
				r.Call("POST", path, "", bearer(raw)).WantProblem(t, 401, "token_revoked", "")
			}
			r.wantLog("level=WARN msg=\"session ended\" user=test session=")
			r.wantLog("reason=refresh_token_reused")
			r.WantEcho(otherConn, "hello")
		})
	}
}

func TestL8_ParallelRefreshesConverge(t *testing.T) {
	r := start(t)
	_, refresh := r.Login()
	var next string
	jtis := map[any]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			e := r.Call("POST", "/auth/refresh", "", bearer(refresh))
			if e.StatusCode != http.StatusOK {
				t.Errorf("%d %s", e.StatusCode, e.Text)
				return
			}
			raw, _ := e.Decode(t)["refresh_token"].(string)
			claims, err := r.guard.Check(logoutRequest(t, raw), wsauth.Refresh)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			jtis[claims.ID]++
			next = raw // any of them must work below
		})
	}
	all.Wait()
	if len(jtis) != 1 {
		t.Errorf("20 refreshes at once gave %d refresh tokens, want one: %v", len(jtis), jtis)
	}
	if e := r.Call("POST", "/auth/refresh", "", bearer(next)); e.StatusCode != http.StatusOK {
		t.Errorf("the token that all of them got: %d %s", e.StatusCode, e.Text)
	}
}

// logoutRequest returns a logout, as a handler gets it.
func logoutRequest(t *testing.T, raw string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "/auth/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	return r
}

// TestRefreshIsAnsweredAgainWithinTheGrace checks that a client that has lost
// the answer can get the same tokens again (L9, for refresh tokens).
func TestRefreshIsAnsweredAgainWithinTheGrace(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = MaxRefreshGrace })
	_, refresh := r.Login()
	_, lost := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	access, again := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	if r.refreshID(again) != r.refreshID(lost) {
		t.Error("the second answer has another successor")
	}
	r.echoes(access)
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(again)))
}

func TestRefreshOfASessionThatTheStoreForgot(t *testing.T) {
	st := memory.New(store.Limits{})
	r := start(t, func(c *setup) { c.Store = st })
	access, refresh := r.Login()
	conn := r.echoes(access)
	if err := st.EndSession(t.Context(), "test", r.Claims(access)["sid"].(string)); err != nil {
		t.Fatal(err)
	}
	r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(access)).WantProblem(t, 401, "session_ended", "log in again")
	r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantProblem(t, 401, "session_ended", "log in again")
	r.WantClose(conn, 3000, "session_ended")
	r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
}

// TestEndedRefreshByCookieClearsCookies checks that the cookies of an ended
// session are deleted, so that the page does not try again and again.
func TestEndedRefreshByCookieClearsCookies(t *testing.T) {
	st := memory.New(store.Limits{})
	r := start(t, func(c *setup) { c.Store = st })
	_, refresh := r.LoginCookies()
	sessions, err := st.ListSessions(t.Context(), "test")
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	if err := st.EndSession(t.Context(), "test", sessions[0].ID); err != nil {
		t.Fatal(err)
	}
	r.Call("POST", "/auth/refresh", "", csrf(refresh)).WantProblem(t, 401, "session_ended", "")
	if left := r.Cookies(); len(left) != 0 {
		t.Errorf("cookies are left: %v", left)
	}
}
