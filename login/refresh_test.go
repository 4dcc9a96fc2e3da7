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
	access, refresh := r.login()
	before := r.claims(access)
	e := r.call("POST", "/auth/refresh", "", bearer(refresh))
	newAccess, newRefresh := r.renewed(e)
	if newRefresh == "" || newRefresh == refresh || e.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", e.body, e.Header)
	}
	after := r.claims(newAccess)
	if after["sid"] != before["sid"] || after["fresh"] != false || after["jti"] == before["jti"] {
		t.Errorf("before %v, after %v", before, after)
	}
	wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(access)), 403, "wrong_token_type", "Only refresh tokens")
	if _, again := r.renewed(r.call("POST", "/auth/refresh", "", bearer(newRefresh))); again == newRefresh {
		t.Error("the second refresh gave the same token")
	}
	if log := r.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has an error:\n%s", log)
	}
}

func TestRefreshByCookieStaysInCookies(t *testing.T) {
	r := start(t)
	accessCSRF, refreshCSRF := r.loginCookies()
	old := r.cookies()
	wantProblem(t, r.call("POST", "/auth/refresh", ""), 403, "csrf_mismatch", "Missing CSRF")                   // C12
	wantProblem(t, r.call("POST", "/auth/refresh", "", csrf(accessCSRF)), 403, "csrf_mismatch", "do not match") // another token's
	e := r.call("POST", "/auth/refresh", "", csrf(refreshCSRF))
	if e.StatusCode != http.StatusOK || strings.Contains(e.body, "access_token\"") {
		t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	v, now := e.decode(t), r.cookies()
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
			_, stolen := r.login()
			other, _ := r.login()
			access, refresh := r.renewed(r.call("POST", "/auth/refresh", "", bearer(stolen)))
			if name != "after the grace" {
				access, refresh = r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh)))
			}
			conn, otherConn := r.echoes(access), r.echoes(other)
			wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(stolen)), 401, "session_ended", "log in again")
			r.wantClose(conn, 3000, "session_ended")
			for path, raw := range map[string]string{"/auth/refresh": refresh, "/auth/logout": access} {
				wantProblem(t, r.call("POST", path, "", bearer(raw)), 401, "token_revoked", "")
			}
			r.wantLog("level=WARN msg=\"session ended\" user=test session=")
			r.wantLog("reason=refresh_token_reused")
			r.wantEcho(otherConn)
		})
	}
}

func TestL8_ParallelRefreshesConverge(t *testing.T) {
	r := start(t)
	_, refresh := r.login()
	var next string
	jtis := map[any]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			e := r.call("POST", "/auth/refresh", "", bearer(refresh))
			if e.StatusCode != http.StatusOK {
				t.Errorf("%d %s", e.StatusCode, e.body)
				return
			}
			raw, _ := e.decode(t)["refresh_token"].(string)
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
	if e := r.call("POST", "/auth/refresh", "", bearer(next)); e.StatusCode != http.StatusOK {
		t.Errorf("the token that all of them got: %d %s", e.StatusCode, e.body)
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
// the answer gets it again (L9, for refresh tokens).
func TestRefreshIsAnsweredAgainWithinTheGrace(t *testing.T) {
	r := start(t, func(c *setup) { c.RefreshGrace = MaxRefreshGrace })
	_, refresh := r.login()
	_, lost := r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh)))
	access, again := r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh)))
	if r.refreshID(again) != r.refreshID(lost) {
		t.Error("the second answer has another successor")
	}
	r.echoes(access)
	r.renewed(r.call("POST", "/auth/refresh", "", bearer(again)))
}

func TestRefreshOfASessionThatTheStoreForgot(t *testing.T) {
	st := memory.New(store.Limits{})
	r := start(t, func(c *setup) { c.Store = st })
	access, refresh := r.login()
	conn := r.echoes(access)
	if err := st.EndSession(t.Context(), r.claims(access)["sid"].(string)); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r.call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(access)), 401, "session_ended", "log in again")
	wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(refresh)), 401, "session_ended", "log in again")
	r.wantClose(conn, 3000, "session_ended")
	wantDead(t, r.call("GET", "/auth/session", "", bearer(access)))
}

// TestEndedRefreshByCookieClearsCookies checks that the cookies of an ended
// session are deleted, so that the page does not try again and again.
func TestEndedRefreshByCookieClearsCookies(t *testing.T) {
	st := memory.New(store.Limits{})
	r := start(t, func(c *setup) { c.Store = st })
	_, refresh := r.loginCookies()
	sessions, err := st.ListSessions(t.Context(), "test")
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	if err := st.EndSession(t.Context(), sessions[0].ID); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, r.call("POST", "/auth/refresh", "", csrf(refresh)), 401, "session_ended", "")
	if left := r.cookies(); len(left) != 0 {
		t.Errorf("cookies are left: %v", left)
	}
}
