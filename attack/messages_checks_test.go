package attack

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

var errDown = errors.New("down")

// TestFirstMessageChecks checks that a token in a message is checked like one
// in a header, except for CSRF.
func TestFirstMessageChecks(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		change func(*wsauth.Config)
		token  func(t *testing.T, x *bubble) string
		want   wsauth.Reason // "" if it is accepted
	}{
		"J34/refresh": {"/access", nil, func(t *testing.T, _ *bubble) string {
			return issue(t, token.TypeRefresh, "alice", token.Options{}).Raw
		}, wsauth.WrongTokenType},
		"J34/access_for_refresh": {"/refresh", nil, func(t *testing.T, _ *bubble) string { return access(t) }, wsauth.WrongTokenType},
		"J34/refresh_for_refresh": {"/refresh", nil, func(t *testing.T, _ *bubble) string {
			return issue(t, token.TypeRefresh, "alice", token.Options{}).Raw
		}, ""},
		"J34/not_fresh": {"/fresh", nil, func(t *testing.T, _ *bubble) string { return access(t) }, wsauth.FreshTokenRequired},
		"J34/fresh":     {"/fresh", nil, func(*testing.T, *bubble) string { return signed(claims()) }, ""},
		"J34/ticket": {"/access", func(c *wsauth.Config) {
			c.Tickets, c.Extractors = memory.New(store.Limits{}), append(c.Extractors, wsauth.Ticket{})
		}, func(t *testing.T, x *bubble) string {
			return ticket(t, x.guard, issue(t, token.TypeAccess, "alice", token.Options{}).Claims, "/access")
		}, wsauth.TokenInvalid},
		"L4/revoked": {"/access", func(c *wsauth.Config) { c.Revocations = memory.New(store.Limits{}) }, func(t *testing.T, x *bubble) string {
			_, err := x.guard.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: "the-login", Expires: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			return signed(claims())
		}, wsauth.TokenRevoked},
		"L4/revoked_by_hook": {"/access", func(c *wsauth.Config) {
			c.Denylist = func(context.Context, *token.Claims) (bool, error) { return true, nil }
		}, func(t *testing.T, _ *bubble) string { return access(t) }, wsauth.TokenRevoked},
		"expired": {"/access", nil, func(*testing.T, *bubble) string { return signed(claims("exp", "946684800")) }, wsauth.TokenExpired},
		"denied": {"/access", func(c *wsauth.Config) {
			c.Authorize = func(r *http.Request, claims *token.Claims) error {
				if claims == nil || r == nil {
					panic("Authorize is asked about nobody")
				}
				return map[bool]error{true: errDown}[claims.Subject != "bob"]
			}
		}, func(t *testing.T, _ *bubble) string { return access(t) }, wsauth.NotAuthorized},
		"allowed": {"/access", func(c *wsauth.Config) {
			c.Authorize = func(_ *http.Request, claims *token.Claims) error {
				return map[bool]error{true: errDown}[claims.Subject != "alice"]
			}
		}, func(t *testing.T, _ *bubble) string { return access(t) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := func() wsauth.Config {
				config := firstMessageConfig()
				if c.change != nil {
					c.change(&config)
				}
				return config
			}
			inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
				peer := x.dialSocket(t, "", c.path)
				raw := c.token(t, x)
				peer.say(auth(raw))
				if c.want == "" {
					peer.nextMessage(t)
					peer.hangUp()
					return
				}
				peer.wantClose(t, c.want)
				if logged := x.log.Take(); strings.Contains(logged, raw) {
					t.Errorf("R6: the log has the token:\n%s", logged)
				}
			})
		})
	}
	t.Run("D2/store_down", func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		config := func() wsauth.Config {
			c := firstMessageConfig()
			c.Denylist = func(context.Context, *token.Claims) (bool, error) {
				return false, map[bool]error{true: errDown}[down.Load()]
			}
			return c
		}
		inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
			stranger := x.dialSocket(t, "", "/access")
			stranger.say(auth(access(t)))
			stranger.wantClose(t, wsauth.StoreUnavailable)

			down.Store(false)
			peer := x.dialSocket(t, "", "/access")
			for _, want := range []string{`{"type":"auth_ok"`, `{"type":"auth_error","reason":"store_unavailable"}`, `{"type":"auth_ok"`} {
				peer.say(auth(access(t)))
				if got := peer.nextMessage(t); !strings.HasPrefix(got, want) {
					t.Errorf("answered %q, want %s", got, want)
				}
				down.Store(!down.Load())
			}
			peer.hangUp()
		})
	})
}
