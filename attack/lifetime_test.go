package attack

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestExpiryOnTheWire checks over a real connection that a socket is closed
// within a second of its token's end (L1).
func TestExpiryOnTheWire(t *testing.T) {
	for name, leeway := range map[string]time.Duration{"L1/no_leeway": 0, "L1/leeway_of_1s": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, leeway)})
			made := issue(t, token.TypeAccess, "alice", token.Options{TTL: 2 * time.Second})
			a := x.send(t, upgrade("/access", bearer(made.Raw)))
			code, reason := a.closeFrame(t)
			late := time.Since(made.Claims.ExpiresAt.Add(leeway))
			t.Logf("closed %s after exp and leeway", late)
			if code != 3000 || reason != "token_expired" || late < 0 || late > time.Second {
				t.Errorf("closed with %d %q, %s after the end of the token", code, reason, late)
			}
			again := x.send(t, upgrade("/access", bearer(made.Raw)))
			x.takeRequests()
			x.wantRefusal(t, again, wsauth.TokenExpired, pieces(made.Raw)...)
		})
	}
}

// TestExpiryToTheMoment checks that a socket ends when its token does, to the
// nanosecond, and that a socket without a token does not end.
func TestExpiryToTheMoment(t *testing.T) {
	for name, leeway := range map[string]time.Duration{"L12/no_leeway": 0, "L12/leeway": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func() wsauth.Config { return wsauth.Config{Verifier: newVerifier(t, leeway)} }, func(t *testing.T, x *bubble) {
				made := issue(t, token.TypeAccess, "alice", token.Options{TTL: 15 * time.Minute})
				guest := x.open(t, "/optional")
				member := x.open(t, "/optional", bearer(made.Raw))
				<-member.done
				if end := made.Claims.ExpiresAt.Add(leeway); !member.ended.Equal(end) {
					t.Errorf("closed %s after the end of the token", member.ended.Sub(end))
				}
				member.wantEnd(t, wsauth.TokenExpired)
				time.Sleep(1000 * time.Hour)
				guest.wantOpen(t)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := x.guard.Shutdown(ctx); err == nil {
					t.Error("the socket without a token has ended too")
				}
				guest.wantEnd(t, wsauth.Restarting)
			})
		})
	}
}

// TestClocks checks the verification of tokens of an issuer whose clock differs
// from ours (L12). It does not set back the clock of open sockets, since their
// timers use the monotonic clock.
func TestClocks(t *testing.T) {
	for name, c := range map[string]struct {
		ahead  time.Duration // of the issuer's clock
		leeway time.Duration
		want   wsauth.Reason
	}{
		"L12/equal":                   {0, 0, ""},
		"L12/30s_ahead":               {30 * time.Second, 0, wsauth.TokenInvalid},
		"L12/30s_ahead_with_leeway":   {30 * time.Second, 30 * time.Second, ""},
		"L12/31s_ahead_with_leeway":   {31 * time.Second, 30 * time.Second, wsauth.TokenInvalid},
		"L12/5min_ahead_with_leeway":  {5 * time.Minute, time.Minute, wsauth.TokenInvalid},
		"L12/30s_behind":              {-30 * time.Second, 0, ""},
		"L12/5min_behind":             {-5 * time.Minute, 0, ""},
		"L12/15min_behind":            {-15 * time.Minute, 0, wsauth.TokenExpired},
		"L12/15min_behind_leeway":     {-15 * time.Minute, time.Second, ""},
		"L12/1h_behind_with_leeway":   {-time.Hour, time.Minute, wsauth.TokenExpired},
		"L12/1h_ahead_is_not_revived": {time.Hour, time.Minute, wsauth.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				theirs := time.Now().Add(c.ahead).Unix()
				tok := signed(claims("iat", fmt.Sprint(theirs), "nbf", fmt.Sprint(theirs), "exp", fmt.Sprint(theirs+15*60)))
				guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, c.leeway)})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := guard.Check(request(t, upgrade("/access", bearer(tok))), wsauth.Access); reasonOf(err) != c.want {
					t.Errorf("Check: %v, want %q", err, c.want)
				}
			})
		})
	}
}
