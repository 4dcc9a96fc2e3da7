package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth/internal/idptest"
	"wsauth/store"
	"wsauth/token"
)

// A login whose tokens would be revoked already is no login: the clock was set
// back after all logins were ended. It says so, ends no other session, and
// succeeds once the moment has passed.
func TestLoginThatWouldBeBornRevoked(t *testing.T) {
	const back = 3 * time.Second
	for name, cut := range map[string]store.Revocation{
		"user": {Scope: store.Subject, ID: "test"}, "everything": {Scope: store.Everything},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				cut.Before, cut.Expires = time.Now().Add(back), time.Now().Add(time.Hour)
				if _, err := r.g.guard.Revoke(t.Context(), cut); err != nil {
					t.Fatal(err)
				}
				for _, body := range []string{`{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`} {
					e := r.call("POST", "/auth/login", body, jsonType)
					wantProblem(t, e, http.StatusServiceUnavailable, "clock_behind", "it may have been set back")
					if strings.Contains(e.body, "_token") || len(e.Header["Set-Cookie"]) > 0 || e.Header.Get("Retry-After") == "" {
						t.Errorf("%v %s", e.Header, e.body)
					}
				}
				r.log.waitFor(t, "reason=clock_behind")
				if left, err := r.g.store.ListFamilies(t.Context(), "test"); len(left) != 0 || err != nil {
					t.Errorf("%d sessions have begun, %v", len(left), err)
				}
				wantProblem(t, r.call("POST", "/auth/login", `{"username":"test","password":"wrong"}`, jsonType), 401, "bad_credentials", "")
				time.Sleep(back + time.Millisecond)
				access, _ := r.login()
				r.claims(access)
			})
		})
	}
}

const testSecret = "a secret of tests, 32 bytes or more"

func withTestSecret(c *Config) {
	c.Keys = must(token.NewKeySet(must(token.NewKey(token.HS256, []byte(testSecret), token.KeyOptions{}))))
}

// tokenAhead is an access token that a gateway with testSecret has issued
// before its clock was set back.
func tokenAhead(by time.Duration, sid string) string {
	iat := time.Now().Add(by).Unix()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil,
		`{"sub":"test","type":"access","jti":"ahead","iat":%d,"nbf":%d,"exp":%d,"sid":%q}`, iat, iat, iat+900, sid))
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// sidAhead names a session that began before the clock was set back.
func sidAhead(by time.Duration) string {
	hex := fmt.Sprintf("%012x", time.Now().Add(by).UnixMilli())
	return hex[:8] + "-" + hex[8:] + "-7abc-8def-0123456789ab"
}

// Our own tokens are good after the clock was set back by a few seconds, and
// live no longer for it.
func TestOwnTokensAfterTheClockWasSetBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, later := tokenAhead(clockStep, store.NewSessionID()), tokenAhead(clockStep+time.Second, store.NewSessionID())
		r.claims(access)
		wantProblem(t, r.call("GET", "/auth/session", "", bearer(later)), 401, "token_invalid", "(iat)")
		conn := r.echoes(access)

		// A logout everywhere ends both.
		if e := r.call("POST", "/auth/logout-everywhere", "", bearer(access)); e.StatusCode != http.StatusOK || e.decode(t)["sockets"] != float64(1) {
			t.Errorf("%d %s", e.StatusCode, e.body)
		}
		r.wantClose(conn, 3000, "session_ended")
		wantDead(t, r.call("GET", "/auth/session", "", bearer(access)))
		time.Sleep(time.Minute)
		wantDead(t, r.call("GET", "/auth/session", "", bearer(later)))
	}, withTestSecret)
}

// A session that began before the clock was set back ends with the others, and
// its tokens are still dead when the clock has got that far again.
func TestLogoutEverywhereAfterTheClockWasSetBack(t *testing.T) {
	const ahead = 3 * time.Second
	inBubble(t, func(t *testing.T, r *rig) {
		sid := sidAhead(ahead)
		memory := beginningStore{r.g.store.(*store.Memory)}
		if err := memory.begin(t.Context(), sid, ahead); err != nil {
			t.Fatal(err)
		}
		access := tokenAhead(ahead, sid)
		conn := r.echoes(access)
		sessions, sockets, err := r.g.EndUser(t.Context(), "test")
		if sessions != 1 || sockets != 1 || err != nil {
			t.Errorf("%d sessions, %d sockets, %v", sessions, sockets, err)
		}
		r.wantClose(conn, 3000, "session_ended")
		for range 2 {
			wantDead(t, r.call("GET", "/auth/session", "", bearer(access)))
			time.Sleep(2 * ahead)
		}
	}, withTestSecret)
}

// Tokens of a provider whose clock is ahead end with a logout everywhere, and
// so do the sockets that they have opened.
func TestLogoutEverywhereWithAProvidersClockAhead(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	access := accessToken(p, "ada", "s1", map[string]any{"iat": time.Now().Unix() + 20})
	conn := r.echoes(access)
	other := r.echoes(accessToken(p, "bert", "s2", map[string]any{"iat": time.Now().Unix() + 20}))
	if e := r.call("POST", "/auth/logout-everywhere", "", bearer(access)); e.StatusCode != http.StatusOK || e.decode(t)["sockets"] != float64(1) {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
	r.wantClose(conn, 3000, "session_ended")
	wantDead(t, r.call("GET", "/auth/session", "", bearer(access)))
	r.wantEcho(other)
}
