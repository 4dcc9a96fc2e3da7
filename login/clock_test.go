package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestLoginThatWouldBeRevoked checks that after all sessions were ended and the
// clock was set back, a login is refused with the reason, since its tokens
// would already be revoked. It ends no other session, and succeeds once the
// clock has caught up.
func TestLoginThatWouldBeRevoked(t *testing.T) {
	const back = 3 * time.Second
	for name, cut := range map[string]store.Revocation{
		"user": {Target: store.TargetSubject, ID: "test"}, "everything": {Target: store.TargetAll},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				cut.Before, cut.Expires = time.Now().Add(back), time.Now().Add(time.Hour)
				if _, err := r.guard.Revoke(t.Context(), cut); err != nil {
					t.Fatal(err)
				}
				for _, body := range []string{`{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`} {
					e := r.Call("POST", "/auth/login", body, jsonType)
					e.WantProblem(t, http.StatusServiceUnavailable, "clock_behind", "it may have been set back")
					if strings.Contains(e.Text, "_token") || len(e.Header["Set-Cookie"]) > 0 || e.Header.Get("Retry-After") == "" {
						t.Errorf("%v %s", e.Header, e.Text)
					}
				}
				r.wantLog("reason=clock_behind")
				if left, err := r.store.ListSessions(t.Context(), "test"); len(left) != 0 || err != nil {
					t.Errorf("%d sessions were started, %v", len(left), err)
				}
				r.Call("POST", "/auth/login", `{"username":"test","password":"wrong"}`, jsonType).WantProblem(t, 401, "bad_credentials", "")
				time.Sleep(back + time.Millisecond)
				access, _ := r.Login()
				r.Claims(access)
			})
		})
	}
}

// TestStepUpWhileTheUserIsEnded checks that a user who is logged out everywhere
// while the password is checked gets no token.
func TestStepUpWhileTheUserIsEnded(t *testing.T) {
	var r *rig
	ends := false
	r = start(t, func(c *setup) {
		c.Users = AuthenticatorFunc(func(ctx context.Context, name, _ string) (bool, error) {
			if !ends {
				return true, nil
			}
			_, err := r.guard.Revoke(ctx, store.Revocation{Target: store.TargetSubject, ID: name, Before: time.Now(), Expires: time.Now().Add(time.Hour)})
			return true, err
		})
	})
	access, _ := r.Login()
	ends = true
	e := r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(access))
	e.WantProblem(t, http.StatusUnauthorized, "session_ended", "log in again")
	if strings.Contains(e.Text, "access_token") {
		t.Errorf("the answer has a token: %s", e.Text)
	}
}

// TestRefreshAfterLogoutEverywhere checks that a session that started after a
// logout everywhere can be refreshed and stepped up even if the clock was then
// set back to before the logout. By the clock of the store, the session started
// after the logout, so its next tokens are valid.
func TestRefreshAfterLogoutEverywhere(t *testing.T) {
	const back = 3 * time.Second
	requests := map[string]struct {
		kind       token.Type
		path, body string
	}{
		"refresh": {token.TypeRefresh, "/auth/refresh", ""},
		"fresh":   {token.TypeAccess, "/auth/fresh", `{"password":"test"}`},
	}
	for name, cut := range map[string]store.Revocation{
		"user": {Target: store.TargetSubject, ID: "test"}, "everything": {Target: store.TargetAll},
	} {
		for of, request := range requests {
			t.Run(name+", "+of, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					cut.Before, cut.Expires = time.Now().Add(back), time.Now().Add(time.Hour)
					if _, err := r.guard.Revoke(t.Context(), cut); err != nil {
						t.Fatal(err)
					}
					started := time.Now().Add(back + time.Second)
					sid := sidAhead(back + time.Second)
					if err := r.store.BeginSession(t.Context(), store.Session{
						ID: sid, Subject: "test", Current: "ahead", Started: started, Rotated: started, Expires: started.Add(time.Hour), Ends: started.Add(time.Hour),
					}); err != nil {
						t.Fatal(err)
					}
					raw := typedAhead(back+time.Second, sid, request.kind)
					e := r.Call("POST", request.path, request.body, bearer(raw), jsonType)
					if e.StatusCode != http.StatusOK {
						t.Fatalf("status %d, want 200; body %s", e.StatusCode, e.Text)
					}
					r.Claims(e.Decode(t)["access_token"].(string))
				}, withTestSecret)
			})
		}
	}
}

const testSecret = "a secret of tests, 32 bytes or more"

func withTestSecret(c *setup) {
	c.Keys = must(token.NewKeySet(must(token.NewKey(token.HS256, []byte(testSecret), token.KeyOptions{}))))
}

// tokenAhead returns an access token that a service with testSecret issued
// before its clock was set back.
func tokenAhead(by time.Duration, sid string) string { return typedAhead(by, sid, token.TypeAccess) }

func typedAhead(by time.Duration, sid string, kind token.Type) string {
	iat := time.Now().Add(by).Unix()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil,
		`{"sub":"test","type":%q,"jti":"ahead","iat":%d,"nbf":%d,"exp":%d,"sid":%q}`, kind, iat, iat, iat+900, sid))
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// sidAhead returns the ID of a session that started before the clock was set
// back.
func sidAhead(by time.Duration) string {
	hex := fmt.Sprintf("%012x", time.Now().Add(by).UnixMilli())
	return hex[:8] + "-" + hex[8:] + "-7abc-8def-0123456789ab"
}

// TestOwnTokensAfterTheClockWasSetBack checks that after the clock was set back
// by a few seconds, tokens are still valid and do not live longer.
func TestOwnTokensAfterTheClockWasSetBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, later := tokenAhead(store.ClockStep, store.NewSessionID(time.Now())), tokenAhead(store.ClockStep+time.Second, store.NewSessionID(time.Now()))
		r.Claims(access)
		r.Call("GET", "/auth/session", "", bearer(later)).WantProblem(t, 401, "token_invalid", "(iat)")
		conn := r.echoes(access)

		// A logout everywhere ends both.
		if e := r.Call("POST", "/auth/logout-everywhere", "", bearer(access)); e.StatusCode != http.StatusOK || e.Decode(t)["sockets"] != float64(1) {
			t.Errorf("%d %s", e.StatusCode, e.Text)
		}
		r.WantClose(conn, 3000, "session_ended")
		r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
		time.Sleep(time.Minute)
		r.Call("GET", "/auth/session", "", bearer(later)).WantEnded(t)
	}, withTestSecret)
}

// TestLogoutEverywhereAfterTheClockWasSetBack checks that a session that
// started before the clock was set back ends with the others. Its tokens are
// still revoked when the clock has caught up.
func TestLogoutEverywhereAfterTheClockWasSetBack(t *testing.T) {
	const ahead = 3 * time.Second
	inBubble(t, func(t *testing.T, r *rig) {
		sid := sidAhead(ahead)
		st := beginningStore{r.store.(*memory.Store)}
		if err := st.begin(t.Context(), sid, ahead); err != nil {
			t.Fatal(err)
		}
		access := tokenAhead(ahead, sid)
		conn := r.echoes(access)
		sessions, sockets, err := r.s.EndUser(t.Context(), "test")
		if sessions != 1 || sockets != 1 || err != nil {
			t.Errorf("%d sessions, %d sockets, %v", sessions, sockets, err)
		}
		r.WantClose(conn, 3000, "session_ended")
		for range 2 {
			r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
			time.Sleep(2 * ahead)
		}
	}, withTestSecret)
}

// TestEndsAfterTheClockWasSetBack checks that a logout ends the session however
// far the clock was set back. A refresh is answered with 503, so that clients
// try again, because the session has not ended.
func TestEndsAfterTheClockWasSetBack(t *testing.T) {
	for _, back := range []time.Duration{store.ClockStep + time.Second, time.Minute, 2 * time.Hour} {
		for _, known := range []bool{true, false} { // whether the store has the session
			for name, c := range map[string]struct {
				kind         token.Type
				method, path string
				status       int
			}{
				"logout":              {token.TypeAccess, "POST", "/auth/logout", 204},
				"logout, refresh":     {token.TypeRefresh, "POST", "/auth/logout", 204},
				"everywhere":          {token.TypeAccess, "POST", "/auth/logout-everywhere", 200},
				"everywhere, refresh": {token.TypeRefresh, "POST", "/auth/logout-everywhere", 200},
				"one":                 {token.TypeAccess, "DELETE", "/auth/sessions/SID", 200},
				"refresh":             {token.TypeRefresh, "POST", "/auth/refresh", 503},
				"refresh, access":     {token.TypeAccess, "POST", "/auth/refresh", 401},
				"session":             {token.TypeAccess, "GET", "/auth/session", 401},
				"sessions":            {token.TypeAccess, "GET", "/auth/sessions", 401},
				"ticket":              {token.TypeAccess, "POST", "/auth/ticket", 401},
				"fresh":               {token.TypeAccess, "POST", "/auth/fresh", 401},
			} {
				t.Run(fmt.Sprint(name, back, known), func(t *testing.T) {
					inBubble(t, func(t *testing.T, r *rig) {
						sid, moment := sidAhead(back), time.Now().Add(back)
						switch session := (store.Session{ID: sid, Subject: "test", Current: "ahead", Started: moment, Expires: moment.Add(time.Hour), Ends: moment.Add(time.Hour)}); {
						case known:
							if err := r.store.BeginSession(t.Context(), session); err != nil {
								t.Fatal(err)
							}
						case name == "one":
							c.status = 404
						case name == "refresh":
							c.status = 401
						}
						raw := typedAhead(back, sid, c.kind)
						e := r.Call(c.method, strings.Replace(c.path, "SID", sid, 1), "", bearer(raw), jsonType)
						if e.StatusCode != c.status || strings.Contains(e.Text, "_token\"") {
							t.Fatalf("%d %s", e.StatusCode, e.Text)
						}
						if c.status == 503 {
							e.WantProblem(t, 503, "clock_behind", "it may have been set back")
							if e.Header.Get("Retry-After") == "" {
								t.Error("it does not say when to try again")
							}
						}
						time.Sleep(back)
						e = r.Call("POST", "/auth/logout", "", bearer(raw)) // succeeds only if the token is valid
						if ended := c.status < 300; ended && e.StatusCode != 401 || !ended && e.StatusCode != 204 {
							t.Errorf("when the clock has caught up: %d %s", e.StatusCode, e.Text)
						}
					}, withTestSecret)
				})
			}
		}
	}
}
