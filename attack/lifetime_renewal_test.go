package attack

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestRenewal checks that a token of the same session renews a socket if the
// token is not older and has no fewer rights. Any other token ends the socket:
// L2, L3 and P13.
func TestRenewal(t *testing.T) {
	const life = 15 * time.Minute
	type renewalCase struct {
		path string                    // of the socket; default: /access
		old  token.Options             // of the token that opens the socket
		make func(t *testing.T) string // makes the new token, a minute later
		want wsauth.Reason             // "" if it is renewed
		text string                    // of the error
	}
	fresh := token.Options{Fresh: true}
	for name, c := range map[string]renewalCase{
		"L2/the same session":       {make: renewal("alice", "s1", token.Options{})},
		"L2/fresh on a fresh route": {path: "/fresh", old: fresh, make: renewal("alice", "s1", fresh)},
		"P13/another user":          {make: renewal("mallory", "s1", token.Options{}), want: wsauth.NotAuthorized, text: "another user's"},
		"P13/another issuer": {make: func(*testing.T) string {
			return signed(claims("iss", `"https://elsewhere.example"`, "sub", `"alice"`, "sid", `"s1"`))
		}, want: wsauth.TokenInvalid, text: "Invalid issuer"},
		"L3/another session": {make: renewal("alice", "s2", token.Options{}), want: wsauth.TokenInvalid, text: "another session"},
		"L3/no session":      {make: renewal("alice", "", token.Options{}), want: wsauth.TokenInvalid, text: "another session"},
		"L3/ends earlier":    {make: renewal("alice", "s1", token.Options{TTL: life - 2*time.Minute}), want: wsauth.TokenInvalid, text: "older"},
		"L3/fewer audiences": {old: token.Options{Audience: []string{testAudience, "b"}}, make: renewal("alice", "s1", token.Options{}), want: wsauth.TokenInvalid, text: "fewer audiences"},
		"L3/not fresh":       {path: "/fresh", old: fresh, make: renewal("alice", "s1", token.Options{}), want: wsauth.FreshTokenRequired},
		"J34/a refresh token": {make: func(t *testing.T) string {
			return issue(t, token.TypeRefresh, "alice", token.Options{SessionID: "s1"}).Raw
		}, want: wsauth.WrongTokenType},
		"J12/bad signature": {make: func(t *testing.T) string {
			raw := renewal("alice", "s1", token.Options{})(t)
			return raw[:strings.LastIndex(raw, ".")+1] + b64(strings.Repeat("x", 32))
		}, want: wsauth.TokenInvalid, text: "Signature verification failed"},
		"L2/expired": {make: func(t *testing.T) string {
			raw := renewal("alice", "s1", token.Options{TTL: time.Second})(t)
			time.Sleep(2 * time.Second)
			return raw
		}, want: wsauth.TokenExpired},
		"/empty":          {make: func(*testing.T) string { return "" }, want: wsauth.TokenInvalid, text: "Not enough segments"},
		"/not authorized": {make: renewal("alice", "s1", token.Options{Claims: map[string]any{"role": "guest"}}), want: wsauth.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func() wsauth.Config {
				return wsauth.Config{Revocations: memory.New(store.Limits{}), Authorize: noGuests}
			}, func(t *testing.T, x *bubble) {
				path := c.path
				if path == "" {
					path = "/access"
				}
				first := login(t, "alice", "s1", c.old)
				socket := x.open(t, path, bearer(first.Raw))
				time.Sleep(time.Minute)
				started := time.Now()
				err := socket.serverEnd.Renew(t.Context(), c.make(t))
				if c.want != "" {
					if reasonOf(err) != c.want || !strings.Contains(err.Error(), c.text) {
						t.Errorf("Renew: %v, want %s: %s", err, c.want, c.text)
					}
					socket.wantEnd(t, c.want)
					return
				}
				if err != nil || socket.serverEnd.Claims().ID == first.Claims.ID {
					t.Fatalf("Renew: %v, claims %v", err, socket.serverEnd.Claims())
				}
				time.Sleep(life - time.Second)
				socket.wantOpen(t)
				time.Sleep(time.Minute)
				socket.wantEnd(t, wsauth.TokenExpired)
				if lived := socket.ended.Sub(started); lived != life {
					t.Errorf("lived for %v after the renewal", lived)
				}
				if err := socket.serverEnd.Renew(t.Context(), c.make(t)); !errors.Is(err, wsauth.TokenExpired) {
					t.Errorf("L2: Renew after the end: %v", err)
				}
			})
		})
	}
}

// renewal returns a function that issues a token of a session.
func renewal(subject, sid string, o token.Options) func(*testing.T) string {
	return func(t *testing.T) string { return login(t, subject, sid, o).Raw }
}

func noGuests(r *http.Request, claims *token.Claims) error {
	if r.URL.Path == "" {
		return errors.New("no request")
	}
	return notAGuest(claims)
}

func notAGuest(claims *token.Claims) error {
	var more struct {
		Role string `json:"role"`
	}
	if err := claims.Decode(&more); err != nil || more.Role == "guest" {
		return errors.New("a guest")
	}
	return nil
}

// TestRenewalOlder checks that a token that was issued before the socket's
// token renews nothing, even if it expires later (L3).
func TestRenewalOlder(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		older := login(t, "alice", "s1", token.Options{TTL: time.Hour})
		time.Sleep(time.Second)
		socket := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		if err := socket.serverEnd.Renew(t.Context(), older.Raw); reasonOf(err) != wsauth.TokenInvalid {
			t.Errorf("Renew: %v", err)
		}
		socket.wantEnd(t, wsauth.TokenInvalid)
	})
}

// TestRenewalRevoked checks that a revoked token renews no socket, and that
// revoking the old token of a renewed socket does not end it.
func TestRenewalRevoked(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		revoke := func(tok *token.Token, want int) {
			t.Helper()
			n, err := x.guard.Revoke(t.Context(), store.Revocation{Target: store.TargetToken, ID: tok.Claims.ID, Expires: inAnHour()})
			if err != nil || n != want {
				t.Errorf("Revoke ended %d sockets, %v; want %d", n, err, want)
			}
		}
		first, second, third := login(t, "alice", "s1", token.Options{}), login(t, "alice", "s1", token.Options{}), login(t, "alice", "s1", token.Options{})
		socket := x.openWith(t, first)
		if err := socket.serverEnd.Renew(t.Context(), second.Raw); err != nil {
			t.Fatal(err)
		}
		revoke(first, 0)
		socket.wantOpen(t)
		revoke(second, 1)
		socket.wantEnd(t, wsauth.TokenRevoked)

		other := x.openWith(t, third)
		if err := other.serverEnd.Renew(t.Context(), second.Raw); reasonOf(err) != wsauth.TokenRevoked {
			t.Errorf("renewed by a revoked token: %v", err)
		}
		other.wantEnd(t, wsauth.TokenRevoked)
	})
}

// TestRevokeDuringARenewal checks that the socket ends if its new token is
// revoked between the check and the registration of the renewal (L5).
func TestRevokeDuringARenewal(t *testing.T) {
	var guard *wsauth.Guard
	var second *token.Token
	inBubble(t, func() wsauth.Config {
		return wsauth.Config{Revocations: memory.New(store.Limits{}), Authorize: func(_ *http.Request, claims *token.Claims) error {
			if second == nil || claims.ID != second.Claims.ID {
				return nil
			}
			_, err := guard.Revoke(context.Background(), store.Revocation{Target: store.TargetToken, ID: claims.ID, Expires: inAnHour()})
			return err
		}}
	}, func(t *testing.T, x *bubble) {
		guard = x.guard
		socket := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		second = login(t, "alice", "s1", token.Options{})
		if err := socket.serverEnd.Renew(t.Context(), second.Raw); reasonOf(err) != wsauth.TokenRevoked {
			t.Errorf("Renew: %v", err)
		}
		socket.wantEnd(t, wsauth.TokenRevoked)
	})
}

// TestRenewalFlood checks that a client that renews a socket too often is
// refused (P14).
func TestRenewalFlood(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		socket := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		renew := func() error { return socket.serverEnd.Renew(t.Context(), login(t, "alice", "s1", token.Options{}).Raw) }
		for range 60 { // one renewal per second is allowed
			if err := renew(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		var err error
		n := 0
		for ; err == nil && n < 10_000; n++ {
			err = renew()
		}
		if reasonOf(err) != wsauth.RateLimited || n != 11 {
			t.Errorf("P14: %v after %d renewals", err, n)
		}
		socket.wantEnd(t, wsauth.RateLimited)
	})
}

// TestGuardRenew checks that Guard.Renew, which is for a refresh over HTTP,
// renews the sockets of the session whose requirement the new token meets, and
// no others.
func TestGuardRenew(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		old := login(t, "alice", "s1", token.Options{Fresh: true})
		a, b := x.openWith(t, old), x.openWith(t, old)
		freshOnly := x.open(t, "/fresh", bearer(old.Raw))
		otherSession := x.openWith(t, login(t, "alice", "s2", token.Options{}))
		refreshRoute := x.open(t, "/refresh", bearer(issue(t, token.TypeRefresh, "alice", token.Options{SessionID: "s1", TTL: 20 * time.Minute}).Raw))
		time.Sleep(10 * time.Minute)
		renewed := a.serverEnd.Renewed()
		next := login(t, "alice", "s1", token.Options{})
		if n, err := x.guard.Renew(t.Context(), next.Raw); err != nil || n != 2 {
			t.Errorf("renewed %d sockets, %v", n, err)
		}
		select {
		case <-renewed:
		default:
			t.Error("Renewed is not closed")
		}
		time.Sleep(6 * time.Minute)
		a.wantOpen(t)
		b.wantOpen(t)
		freshOnly.wantEnd(t, wsauth.TokenExpired)
		otherSession.wantEnd(t, wsauth.TokenExpired)
		refreshRoute.wantOpen(t)
		if n, err := x.guard.Renew(t.Context(), old.Raw); n != 0 || reasonOf(err) != wsauth.TokenExpired {
			t.Errorf("renewed %d sockets by an expired token, %v", n, err)
		}
		if n, err := x.guard.Renew(t.Context(), issue(t, token.TypeRefresh, "alice", token.Options{SessionID: "s1"}).Raw); n != 0 || reasonOf(err) != wsauth.WrongTokenType {
			t.Errorf("renewed %d sockets by a refresh token, %v", n, err)
		}
		// Revoking the new token ends the socket.
		if n, err := x.guard.Revoke(t.Context(), store.Revocation{Target: store.TargetToken, ID: next.Claims.ID, Expires: inAnHour()}); n != 2 || err != nil {
			t.Errorf("revoked %d sockets, %v", n, err)
		}
	})
}

// TestRequireFresh checks that RequireFresh on an open socket waits for a fresh
// token of the same session, and no longer than its context.
func TestRequireFresh(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		socket := x.openWith(t, login(t, "alice", "s1", token.Options{}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		started := time.Now()
		if err := socket.serverEnd.RequireFresh(ctx); reasonOf(err) != wsauth.FreshTokenRequired || time.Since(started) != time.Minute {
			t.Errorf("without a fresh token: %v after %v", err, time.Since(started))
		}
		socket.wantOpen(t)

		answer := make(chan error, 1)
		go func() { answer <- socket.serverEnd.RequireFresh(t.Context()) }()
		synctest.Wait()
		if err := socket.serverEnd.Renew(t.Context(), login(t, "alice", "s1", token.Options{}).Raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-answer:
			t.Fatalf("RequireFresh accepts a token that is not fresh: %v", err)
		default:
		}
		if err := socket.serverEnd.Renew(t.Context(), login(t, "alice", "s1", token.Options{Fresh: true}).Raw); err != nil {
			t.Fatal(err)
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if err := socket.serverEnd.RequireFresh(t.Context()); err != nil {
			t.Errorf("with a fresh token: %v", err)
		}

		other := x.openWith(t, login(t, "alice", "s2", token.Options{}))
		go func() { answer <- other.serverEnd.RequireFresh(t.Context()) }()
		synctest.Wait()
		other.serverEnd.End(wsauth.SessionEnded)
		if err := <-answer; !errors.Is(err, wsauth.SessionEnded) {
			t.Errorf("the session has ended: %v", err)
		}
	})
}

// A slowVerifier blocks on one token.
type slowVerifier struct {
	wsauth.Verifier
	slow string
	hold chan struct{}
}

func (v *slowVerifier) Verify(ctx context.Context, raw string) (*token.Claims, error) {
	if raw == v.slow {
		<-v.hold
	}
	return v.Verifier.Verify(ctx, raw)
}

// TestSlowRenewalDelaysNoOther checks that a renewal that blocks does not delay
// another renewal, RequireFresh or the end of the socket.
func TestSlowRenewalDelaysNoOther(t *testing.T) {
	v := &slowVerifier{}
	inBubble(t, func() wsauth.Config {
		v.Verifier, v.hold = newVerifier(t, 0), make(chan struct{})
		return wsauth.Config{Verifier: v}
	}, func(t *testing.T, x *bubble) {
		first, second := login(t, "alice", "s1", token.Options{}), login(t, "alice", "s1", token.Options{})
		v.slow = login(t, "alice", "s1", token.Options{CSRF: true}).Raw
		socket := x.openWith(t, first)
		slow := make(chan error, 1)
		go func() { slow <- socket.serverEnd.Renew(context.Background(), v.slow) }()
		synctest.Wait()
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := x.guard.Renew(ctx, second.Raw); n != 1 || err != nil {
			t.Errorf("renewed %d sockets, %v", n, err)
		}
		if err := socket.serverEnd.RequireFresh(ctx); reasonOf(err) != wsauth.FreshTokenRequired {
			t.Errorf("RequireFresh: %v", err)
		}
		if d := time.Since(started); d != time.Second {
			t.Errorf("waited for %v, want no delay", d)
		}
		time.Sleep(time.Hour)
		socket.wantEnd(t, wsauth.TokenExpired)
		close(v.hold)
		if err := <-slow; !errors.Is(err, wsauth.TokenExpired) {
			t.Errorf("a socket was renewed after its end: %v", err)
		}
	})
}

// TestRenewalAtTheLastMoment checks that after a successful renewal, the expiry
// of the old token no longer ends the socket.
func TestRenewalAtTheLastMoment(t *testing.T) {
	inBubble(t, withLog, func(t *testing.T, x *bubble) {
		socket := x.openWith(t, login(t, "alice", "s1", token.Options{TTL: time.Minute}))
		next := login(t, "alice", "s1", token.Options{TTL: time.Hour})
		time.Sleep(time.Until(socket.serverEnd.Claims().ValidUntil()) - 1)
		if err := socket.serverEnd.Renew(t.Context(), next.Raw); err != nil {
			t.Errorf("just before the end: %v", err)
		}
		time.Sleep(time.Minute)
		socket.wantOpen(t)
	})
	for range 50 {
		inBubble(t, withLog, func(t *testing.T, x *bubble) {
			socket := x.openWith(t, login(t, "alice", "s1", token.Options{TTL: time.Minute}))
			next := login(t, "alice", "s1", token.Options{TTL: time.Hour})
			time.Sleep(time.Until(socket.serverEnd.Claims().ValidUntil())) // wakes at the instant of the timer
			if socket.serverEnd.Renew(t.Context(), next.Raw) == nil {
				socket.wantOpen(t)
				return
			}
			socket.wantEnd(t, wsauth.TokenExpired)
		})
	}
}

// TestAuthorizeGetsItsOwnRequest checks that the handler may change its request
// while a renewal calls Authorize: the race detector must report nothing. At
// the renewal, Authorize gets the method, host, path and address of the
// handshake, and nothing else of it.
func TestAuthorizeGetsItsOwnRequest(t *testing.T) {
	type summary struct{ method, host, path, remote, query, header string }
	var calls []summary
	inBubble(t, func() wsauth.Config {
		calls = nil
		return wsauth.Config{Authorize: func(r *http.Request, _ *token.Claims) error {
			calls = append(calls, summary{r.Method, r.Host, r.URL.Path, r.RemoteAddr, r.URL.RawQuery, r.Header.Get("X-Kept")})
			return r.Context().Err()
		}}
	}, func(t *testing.T, x *bubble) {
		x.onRequest = func(r *http.Request) {
			_ = r.ParseForm()
			r.Form.Set("room", "2")
			r.URL.Path, r.RemoteAddr = "/other", "192.0.2.9:9"
			r.Header.Set("X-Kept", "no")
		}
		made := login(t, "alice", "s1", token.Options{})
		socket := x.open(t, "/access?room=1", bearer(made.Raw), "X-Kept: yes")
		if err := socket.serverEnd.Renew(t.Context(), login(t, "alice", "s1", token.Options{}).Raw); err != nil {
			t.Error(err)
		}
		socket.wantOpen(t)
		if len(calls) != 2 || calls[0].query != "room=1" || calls[0].header != "yes" {
			t.Fatalf("got %+v", calls)
		}
		if want := (summary{calls[0].method, calls[0].host, calls[0].path, calls[0].remote, "", ""}); calls[1] != want || want.path != "/access" {
			t.Errorf("at the renewal %+v, want %+v", calls[1], want)
		}
	})
}

// TestAuthorizeAtARenewal checks that the guard calls Authorize at the
// handshake and at a renewal.
func TestAuthorizeAtARenewal(t *testing.T) {
	inBubble(t, func() wsauth.Config {
		return wsauth.Config{Authorize: func(_ *http.Request, claims *token.Claims) error {
			if claims.Subject == "bob" {
				return errors.New("not bob")
			}
			return notAGuest(claims)
		}}
	}, func(t *testing.T, x *bubble) {
		guest := token.Options{Claims: map[string]any{"role": "guest"}}
		for _, denied := range []struct {
			name    string
			options token.Options
		}{{"alice", guest}, {"bob", token.Options{}}} {
			r := request(t, upgrade("/access", bearer(login(t, denied.name, "s1", denied.options).Raw)))
			if _, err := x.guard.Check(r, wsauth.Access); reasonOf(err) != wsauth.NotAuthorized {
				t.Errorf("%s: %v, want %s", denied.name, err, wsauth.NotAuthorized)
			}
		}
		socket := x.open(t, "/access", bearer(login(t, "alice", "s1", token.Options{}).Raw))
		err := socket.serverEnd.Renew(t.Context(), login(t, "alice", "s1", guest).Raw)
		if reasonOf(err) != wsauth.NotAuthorized {
			t.Errorf("Renew: %v, want %s", err, wsauth.NotAuthorized)
		}
		socket.wantEnd(t, wsauth.NotAuthorized)
	})
}

// A namedVerifier uses the text of a token as its issuer. It acts like an
// application's verifier that trusts several issuers.
type namedVerifier struct{}

func (namedVerifier) Verify(_ context.Context, raw string) (*token.Claims, error) {
	now := time.Now()
	return &token.Claims{Issuer: raw, Subject: "alice", SessionID: "s1", Type: token.TypeAccess, IssuedAt: now, ExpiresAt: now.Add(time.Hour)}, nil
}

// TestRenewalOfAnotherIssuer checks that two issuers with the same subject mean
// different users (P13).
func TestRenewalOfAnotherIssuer(t *testing.T) {
	inBubble(t, func() wsauth.Config { return wsauth.Config{Verifier: namedVerifier{}} }, func(t *testing.T, x *bubble) {
		socket := x.open(t, "/access", bearer("https://a.example"))
		if n, err := x.guard.Renew(t.Context(), "https://b.example"); n != 0 || err != nil {
			t.Errorf("Guard.Renew: %d sockets, %v", n, err)
		}
		if issuer := socket.serverEnd.Claims().Issuer; issuer != "https://a.example" {
			t.Errorf("the socket has claims of %s", issuer)
		}
		if n, err := x.guard.Renew(t.Context(), "https://a.example"); n != 1 || err != nil {
			t.Errorf("Guard.Renew by its own issuer: %d sockets, %v", n, err)
		}
		socket.wantOpen(t)
		if err := socket.serverEnd.Renew(t.Context(), "https://b.example"); reasonOf(err) != wsauth.NotAuthorized {
			t.Errorf("Renew: %v", err)
		}
		socket.wantEnd(t, wsauth.NotAuthorized)
	})
}
