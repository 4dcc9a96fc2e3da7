package wsauth_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestExpiryOnTheWire is L1: the socket of a token that expires is closed
// within a second, with a code that says so.
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
			x.took()
			x.wantRefusal(t, again, wsauth.TokenExpired, pieces(made.Raw)...)
		})
	}
}

// TestExpiryToTheMoment: not before, not after, and not for who has no token.
func TestExpiryToTheMoment(t *testing.T) {
	for name, leeway := range map[string]time.Duration{"L12/no_leeway": 0, "L12/leeway": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, leeway)})
				if err != nil {
					t.Fatal(err)
				}
				x := &target{log: new(lockedBuffer)}
				l := newPipes()
				server := &http.Server{Handler: guard.Require(wsauth.Optional)(http.HandlerFunc(x.handle))}
				go server.Serve(l) //nolint:errcheck // It ends with Close.
				made := issue(t, token.TypeAccess, "alice", token.Options{TTL: 15 * time.Minute})

				guest := l.dial()
				open := ask(t, guest, upgrade("/optional"))
				member := l.dial()
				_ = member.SetDeadline(time.Time{})
				a := ask(t, member, upgrade("/optional", bearer(made.Raw)))
				_ = member.SetDeadline(time.Time{})
				_ = guest.SetDeadline(time.Time{})
				code, reason := a.closeFrame(t)
				if end := made.Claims.ExpiresAt.Add(leeway); !time.Now().Equal(end) {
					t.Errorf("closed %s after the end of the token", time.Since(end))
				}
				if code != 3000 || reason != "token_expired" {
					t.Errorf("closed with %d %q", code, reason)
				}

				time.Sleep(1000 * time.Hour) // nothing ends a socket without a token
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := guard.Shutdown(ctx); err == nil {
					t.Error("the socket without a token has ended too")
				}
				if code, reason := open.closeFrame(t); code != 1012 || reason != "restarting" {
					t.Errorf("closed with %d %q", code, reason)
				}
				if err := server.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestClocks is the rest of L12: an issuer whose clock is another. A clock
// that is set back while a socket is open cannot be had in a test; its timer is
// a monotonic one.
func TestClocks(t *testing.T) {
	for name, c := range map[string]struct {
		ahead  time.Duration // how far the issuer's clock is
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
