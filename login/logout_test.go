package login

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
)

func TestLogoutEndsEveryTokenOfTheSession(t *testing.T) { // L4, Q19
	for _, by := range []string{"access", "refresh"} {
		t.Run(by, func(t *testing.T) {
			r := start(t)
			access, refresh := r.Login()
			other, _ := r.Login()
			newer, newest := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
			conn, otherConn := r.echoes(access), r.echoes(other)
			if e := r.Call("POST", "/auth/logout", "", bearer(map[string]string{"access": access, "refresh": newest}[by])); e.StatusCode != http.StatusNoContent || e.Text != "" {
				t.Fatalf("%d %s", e.StatusCode, e.Text)
			}
			r.WantClose(conn, 3000, "session_ended")
			for _, raw := range []string{access, newer} {
				r.Call("GET", "/auth/session", "", bearer(raw)).WantEnded(t)
				r.WantClose(r.Open("", bearer(raw)), 3000, "token_revoked")
			}
			for _, raw := range []string{refresh, newest} {
				r.Call("POST", "/auth/refresh", "", bearer(raw)).WantEnded(t)
			}
			r.Call("POST", "/auth/logout", "", bearer(access)).WantEnded(t)
			if e := r.Call("GET", "/auth/session", "", bearer(other)); e.StatusCode != http.StatusOK {
				t.Errorf("another session of the same user has ended: %d", e.StatusCode)
			}
			r.WantEcho(otherConn, "hello")
			if list := r.list(other); len(list) != 1 {
				t.Errorf("%d sessions are listed, want the other one", len(list))
			}
			if kept, err := r.store.ListSessions(t.Context(), "test"); len(kept) != 1 || err != nil {
				t.Errorf("%d sessions are stored, want the other one; %v", len(kept), err)
			}
		})
	}
}

// TestLogoutOfAClientThatIsGone checks that a logout succeeds even if the page
// is closed right after it was requested.
func TestLogoutOfAClientThatIsGone(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	r := start(t, func(c *setup) { c.Store = &leavingStore{memory.New(store.Limits{}), cancel} })
	access, _ := r.Login()
	conn := r.echoes(access)
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, logoutRequest(t, access).WithContext(gone))
	if w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
}

// A leavingStore calls leave before it revokes.
type leavingStore struct {
	*memory.Store
	leave context.CancelFunc
}

func (s *leavingStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	s.leave()
	return s.Store.Revoke(ctx, r...)
}

func TestLogoutByCookieClearsCookies(t *testing.T) {
	for _, path := range []string{"/auth/logout", "/auth/logout-everywhere"} {
		r := start(t)
		access, _ := r.LoginCookies()
		r.Call("POST", path, "").WantProblem(t, 403, "csrf_mismatch", "Missing CSRF")
		if e := r.Call("POST", path, "", csrf(access)); e.StatusCode >= 300 {
			t.Fatalf("%d %s", e.StatusCode, e.Text)
		}
		if left := r.Cookies(); len(left) != 0 {
			t.Errorf("cookies are left: %v", left)
		}
	}
}

func TestL6_LogoutEverywhere(t *testing.T) {
	for _, by := range []string{"access", "refresh"} {
		t.Run(by, func(t *testing.T) {
			r := start(t)
			var conns []func()
			var tokens []string
			for range 3 {
				access, _ := r.Login()
				conn := r.echoes(access)
				conns = append(conns, func() { r.WantClose(conn, 3000, "session_ended") })
				tokens = append(tokens, access)
			}
			access, refresh := r.Login()
			e := r.Call("POST", "/auth/logout-everywhere", "", bearer(map[string]string{"access": access, "refresh": refresh}[by]))
			if v := e.Decode(t); e.StatusCode != http.StatusOK || v["sessions"] != float64(4) || v["sockets"] != float64(3) || e.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %s", e.StatusCode, e.Text)
			}
			for _, closed := range conns {
				closed()
			}
			for _, raw := range append(tokens, access) {
				r.Call("GET", "/auth/session", "", bearer(raw)).WantEnded(t)
			}
			r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantEnded(t)

			// A session that started in the same second continues, and is the
			// only one.
			again, _ := r.Login()
			r.echoes(again)
			if list := r.Call("GET", "/auth/sessions", "", bearer(again)).Decode(t)["sessions"].([]any); len(list) != 1 {
				t.Errorf("%d sessions, want the new one: %v", len(list), list)
			}
		})
	}
}

// TestL6_LoginRightAfterLogoutEverywhereLives checks that a login is not
// revoked even if it follows the answer to a logout everywhere in the same
// millisecond.
func TestL6_LoginRightAfterLogoutEverywhereLives(t *testing.T) {
	r := start(t)
	for range 50 {
		access, _ := r.Login()
		if _, _, err := r.s.EndUser(t.Context(), "test"); err != nil {
			t.Fatal(err)
		}
		r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
		again, _ := r.Login()
		r.Claims(again)
	}
}

// TestC12_CookiesAloneDoNothing checks that each of these requests needs the
// CSRF value of the token in the cookie.
func TestC12_CookiesAloneDoNothing(t *testing.T) {
	r := start(t)
	r.LoginCookies()
	for name, body := range map[string]string{
		"POST /auth/refresh": "", "POST /auth/logout": "", "POST /auth/logout-everywhere": "", "DELETE /auth/sessions/x": "",
		"POST /auth/fresh": `{"password":"test"}`, "POST /auth/ticket": `{"path":"/ws"}`,
	} {
		method, path, _ := strings.Cut(name, " ")
		r.Call(method, path, body, jsonType).WantProblem(t, 403, "csrf_mismatch", "Missing CSRF")
		// C13: another session's value, C15: a value from before the login.
		r.Call(method, path, body, jsonType, csrf("9b2f6f6e-1d5b-4c5e-8a55-000000000000")).WantProblem(t, 403, "csrf_mismatch", "do not match")
	}
}

// TestAnyRefusal checks that a logout is refused with the reason for its token.
// A refresh token that is revoked between the two checks is refused as revoked,
// not as of the wrong type.
func TestAnyRefusal(t *testing.T) {
	refusal := func(reason wsauth.Reason) error { return &wsauth.Error{Reason: reason} }
	for _, c := range []struct {
		access, refresh wsauth.Reason
		byCookie        bool
		want            wsauth.Reason
	}{
		{wsauth.WrongTokenType, wsauth.TokenRevoked, false, wsauth.TokenRevoked},
		{wsauth.WrongTokenType, wsauth.TokenExpired, false, wsauth.TokenExpired},
		{wsauth.WrongTokenType, wsauth.StoreUnavailable, false, wsauth.StoreUnavailable},
		{wsauth.WrongTokenType, wsauth.TokenRevoked, true, wsauth.TokenRevoked},
		{wsauth.TokenExpired, wsauth.TokenExpired, false, wsauth.TokenExpired},
		{wsauth.TokenRevoked, wsauth.WrongTokenType, false, wsauth.TokenRevoked},
		{wsauth.TokenMissing, wsauth.TokenMissing, true, wsauth.TokenMissing},
		{wsauth.TokenMissing, wsauth.TokenRevoked, true, wsauth.TokenRevoked},
		{wsauth.TokenExpired, wsauth.TokenMissing, true, wsauth.TokenExpired},
	} {
		if got := anyRefusal(refusal(c.access), refusal(c.refresh), c.byCookie); !errors.Is(got, c.want) {
			t.Errorf("%s and %s, cookies %t: %v; want %s", c.access, c.refresh, c.byCookie, got, c.want)
		}
	}
}
