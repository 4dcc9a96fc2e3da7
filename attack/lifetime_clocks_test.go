package attack

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// issueAhead issues an access token for alice by a clock that is ahead of ours.
// If sid is empty, the token has no sid claim.
func issueAhead(ahead time.Duration, sid string, more ...string) string {
	theirs := time.Now().Add(ahead).Unix()
	changes := append([]string{"sub", `"alice"`, "iat", fmt.Sprint(theirs), "nbf", fmt.Sprint(theirs), "exp", fmt.Sprint(theirs + 15*60)}, more...)
	if sid != "" {
		changes = append(changes, "sid", `"`+sid+`"`)
	}
	return signed(claims(changes...))
}

// withLeeway returns a configuration like that of withLog, with the leeways of
// c.
func withLeeway(t *testing.T, c token.VerifierConfig) func() wsauth.Config {
	t.Helper()
	c.Keys, c.Issuer, c.Audience = keys().set, testIssuer, []string{testAudience}
	return func() wsauth.Config {
		v, err := token.NewVerifier(c)
		if err != nil {
			t.Fatal(err)
		}
		return wsauth.Config{Verifier: v, Revocations: memory.New(store.Limits{})}
	}
}

// sidAhead makes a UUIDv7 by a clock that is ahead of ours.
func sidAhead(t *testing.T, ahead time.Duration) string {
	t.Helper()
	hex := fmt.Sprintf("%012x", time.Now().Add(ahead).UnixMilli())
	return hex[:8] + "-" + hex[8:] + "-7abc-8def-0123456789ab"
}

// TestCutOffWithClocksAhead checks that a cut-off, a revocation with a Before,
// ends all open sockets and all tokens issued so far, even if the issuer's
// clock is ahead by the leeway. Sockets and tokens that start later by more
// than the leeway are not affected.
func TestCutOffWithClocksAhead(t *testing.T) {
	const leeway = 20 * time.Second
	for name, verifier := range map[string]token.VerifierConfig{
		"leeway": {Leeway: leeway}, "leeway of iat": {IssuedLeeway: leeway},
	} {
		for _, target := range []store.Target{store.TargetSubject, store.TargetAll} {
			t.Run(fmt.Sprintf("%s/%s", name, target), func(t *testing.T) {
				inBubble(t, withLeeway(t, verifier), func(t *testing.T, x *bubble) {
					tokens := []string{
						issueAhead(0, ""), issueAhead(leeway, ""), issueAhead(leeway, "s1"), issueAhead(15*time.Second, "00000000-0000-4000-8000-000000000000"),
						issueAhead(leeway, sidAhead(t, leeway+time.Minute)), // the sid is newer than the token
					}
					var clients []*client
					for _, raw := range tokens {
						clients = append(clients, x.open(t, "/access", bearer(raw)))
					}
					cutOff := store.Revocation{Target: target, Before: time.Now(), Expires: inAnHour()}
					if target == store.TargetSubject {
						cutOff.ID = "alice"
					}
					if n, err := x.guard.Revoke(t.Context(), cutOff); err != nil || n != len(tokens) {
						t.Errorf("%d sockets have ended, %v; want %d", n, err, len(tokens))
					}
					for i, c := range clients {
						c.wantEnd(t, wsauth.SessionEnded)
						x.takeRequests()
						x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(tokens[i]))), wsauth.TokenRevoked)
					}
					time.Sleep(time.Millisecond)
					own := x.open(t, "/access", bearer(issueAhead(0, store.NewSessionID(time.Now()))))
					x.takeRequests()
					time.Sleep(leeway + time.Second)
					for _, raw := range tokens {
						x.wantRefusal(t, x.ask(t, "", upgrade("/access", bearer(raw))), wsauth.TokenRevoked)
					}
					foreign := x.open(t, "/access", bearer(issueAhead(0, "")))
					own.wantOpen(t)
					foreign.wantOpen(t)
				})
			})
		}
	}
}

// TestCutOffAfterTheClockWasSetBack checks that a cut-off ends open sockets
// even if, by the wall clock, their session and token started after it.
func TestCutOffAfterTheClockWasSetBack(t *testing.T) {
	inBubble(t, withLeeway(t, token.VerifierConfig{IssuedLeeway: 5 * time.Second}), func(t *testing.T, x *bubble) {
		socket := x.open(t, "/access", bearer(issueAhead(3*time.Second, sidAhead(t, 3*time.Second))))
		optional := x.open(t, "/optional")
		early := store.Revocation{Target: store.TargetSubject, ID: "alice", Before: time.Now().Add(-time.Millisecond), Expires: inAnHour()}
		if n, err := x.guard.Revoke(t.Context(), early); n != 0 || err != nil {
			t.Errorf("%d sockets ended by a cut-off before they opened, %v", n, err)
		}
		now := store.Revocation{Target: store.TargetAll, Before: time.Now(), Expires: inAnHour()}
		if n, err := x.guard.Revoke(t.Context(), now); n != 1 || err != nil {
			t.Errorf("%d sockets ended, %v", n, err)
		}
		socket.wantEnd(t, wsauth.SessionEnded)
		optional.wantOpen(t)
	})
}

// TestCutOffAndFirstMessages checks that a cut-off applies to the time when a
// client authenticated, not when its socket opened.
func TestCutOffAndFirstMessages(t *testing.T) {
	config := func() wsauth.Config {
		c := withLeeway(t, token.VerifierConfig{})()
		c.Extractors = []wsauth.Extractor{wsauth.FirstMessage{}, wsauth.Header{}}
		return c
	}
	inBubble(t, config, func(t *testing.T, x *bubble) {
		first := x.open(t, "/access")
		second := x.open(t, "/access")
		authenticate := func(c *client) {
			t.Helper()
			message := `{"type":"auth","token":"` + issueAhead(0, store.NewSessionID(time.Now())) + `"}`
			if _, err := c.serverEnd.Authenticate(t.Context(), []byte(message)); err != nil {
				t.Fatal(err)
			}
		}
		authenticate(first)
		time.Sleep(time.Second)
		cutOff := store.Revocation{Target: store.TargetSubject, ID: "alice", Before: time.Now(), Expires: inAnHour()}
		time.Sleep(time.Millisecond) // another node has revoked, but this one has not read it yet
		authenticate(second)
		if n, err := x.guard.Revoke(t.Context(), cutOff); n != 1 || err != nil {
			t.Errorf("%d sockets ended, %v", n, err)
		}
		first.wantEnd(t, wsauth.SessionEnded)
		second.wantOpen(t)
	})
}

// TestRenewalAfterTheClockWasSetBack checks that a token renews a socket even
// if, before the token was issued, the clock was set back by up to the leeway.
// If the clock was set back further, or the token lives for a shorter time, it
// does not.
func TestRenewalAfterTheClockWasSetBack(t *testing.T) {
	const leeway = 5 * time.Second
	for name, c := range map[string]struct {
		back, shorter time.Duration
		want          wsauth.Reason
	}{
		"same second":          {},
		"3 s back":             {back: 3 * time.Second},
		"all of the leeway":    {back: leeway},
		"more than the leeway": {back: leeway + time.Second, want: wsauth.TokenInvalid},
		"good for less":        {shorter: time.Second, want: wsauth.TokenInvalid},
		"3 s back, for less":   {back: 3 * time.Second, shorter: time.Second, want: wsauth.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, withLeeway(t, token.VerifierConfig{IssuedLeeway: leeway}), func(t *testing.T, x *bubble) {
				time.Sleep(time.Minute)
				socket := x.open(t, "/access", bearer(issueAhead(0, "s1")))
				exp := time.Now().Add(15*time.Minute - c.back - c.shorter).Unix()
				err := socket.serverEnd.Renew(t.Context(), issueAhead(-c.back, "s1", "exp", fmt.Sprint(exp)))
				if reasonOf(err) != c.want {
					t.Errorf("Renew: %v, want %q", err, c.want)
				}
				synctest.Wait()
				if c.want != "" {
					socket.wantEnd(t, c.want)
					return
				}
				socket.wantOpen(t)
				time.Sleep(time.Until(time.Unix(exp, 0)))
				synctest.Wait()
				socket.wantEnd(t, wsauth.TokenExpired)
			})
		})
	}
}
