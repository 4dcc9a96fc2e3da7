package attack

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// Addresses of clients. The last two are in one network.
const anna, ben, carl, carlsNeighbor = "192.0.2.1:1000", "192.0.2.2:1000", "[2001:db8::1]:1000", "[2001:db8::2]:1000"

// slotConfig returns a configuration with limits of anonymous sockets.
func slotConfig(all, perAddress int, refusal wsauth.Refusal) func() wsauth.Config {
	return func() wsauth.Config {
		c := firstMessageConfig()
		c.Extractors = append(c.Extractors, wsauth.Header{})
		c.Limits = wsauth.Limits{Unauthenticated: all, UnauthenticatedPerAddress: perAddress}
		c.Refusal = refusal
		return c
	}
}

// wantNoSlot checks that a handshake is refused over HTTP, since a close frame
// would need a socket.
func (x *bubble) wantNoSlot(t *testing.T, from string) {
	t.Helper()
	a := x.ask(t, from, upgrade("/access", fromOurs))
	x.wantRefusal(t, a, wsauth.RateLimited)
	a.conn.Close()
}

// TestSlots checks that anonymous sockets are limited, per address and in
// total, and that their slots become free however they end.
func TestSlots(t *testing.T) {
	for refusalName, refusal := range map[string]wsauth.Refusal{"http": wsauth.RefuseHTTP, "close": wsauth.RefuseClose} {
		t.Run("R2/per_address/"+refusalName, func(t *testing.T) {
			inMessageBubble(t, "coder", slotConfig(100, 2, refusal), func(t *testing.T, x *bubble) {
				one, two := x.dialSocket(t, anna, "/access"), x.dialSocket(t, anna, "/access")
				x.wantNoSlot(t, anna)
				other := x.dialSocket(t, ben, "/access")
				first, second := x.dialSocket(t, carl, "/access"), x.dialSocket(t, carlsNeighbor, "/access")
				x.wantNoSlot(t, carl)
				one.hangUp()
				three := x.dialSocket(t, anna, "/access")
				x.wantNoSlot(t, anna)
				for _, c := range []*peer{two, other, first, second, three} {
					c.hangUp()
				}
			})
		})
		t.Run("R2/in_all/"+refusalName, func(t *testing.T) {
			inMessageBubble(t, "coder", slotConfig(2, 2, refusal), func(t *testing.T, x *bubble) {
				one, two := x.dialSocket(t, anna, "/access"), x.dialSocket(t, ben, "/access")
				wantFull := func() { t.Helper(); x.wantNoSlot(t, anna); x.wantNoSlot(t, carl) }
				wantFull()

				// Authenticated clients need no slot, so a client that
				// authenticates frees its slot.
				authenticated := socketOf(t, x.ask(t, carl, upgrade("/access", fromOurs, bearer(access(t)))))
				wantFull()
				one.say(auth(access(t)))
				one.nextMessage(t)
				three := x.dialSocket(t, carl, "/access")
				wantFull()

				two.say("hello")
				two.wantClose(t, wsauth.TokenMissing)
				four := x.dialSocket(t, carl, "/access")
				wantFull()

				three.wantClose(t, wsauth.AuthTimeout)
				four.wantClose(t, wsauth.AuthTimeout)
				five, six := x.dialSocket(t, ben, "/access"), x.dialSocket(t, ben, "/access")
				wantFull()
				for _, c := range []*peer{authenticated, one, five, six} {
					c.hangUp()
				}
			})
		})
	}
	t.Run("R2/opened_to_be_closed", func(t *testing.T) {
		inMessageBubble(t, "coder", slotConfig(2, 2, wsauth.RefuseClose), func(t *testing.T, x *bubble) {
			waiting := x.dialSocket(t, anna, "/access")
			hostile := upgrade("/access", fromOurs, bearer("x"))
			refused := socketOf(t, x.ask(t, ben, hostile)) // this client does not read the reason
			a := x.ask(t, carl, hostile)
			if a.StatusCode != http.StatusUnauthorized {
				t.Errorf("status %d, want 401", a.StatusCode)
			}
			x.wantNoSlot(t, carl)
			refused.wantClose(t, wsauth.TokenInvalid)
			again := socketOf(t, x.ask(t, ben, hostile))
			x.takeRequests()
			x.wantNoSlot(t, carl)
			time.Sleep(5 * time.Second) // P12
			synctest.Wait()
			x.dialSocket(t, carl, "/access").hangUp()
			again.hangUp()
			waiting.hangUp()
		})
	})
	t.Run("R2/handler_that_does_not_upgrade", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x, stop := newBubble(t, slotConfig(1, 1, wsauth.RefuseHTTP)(), func(*bubble) http.HandlerFunc { return http.NotFound })
			defer stop()
			for range 3 {
				a := x.ask(t, anna, upgrade("/access", fromOurs))
				if a.StatusCode != http.StatusNotFound {
					t.Errorf("status %d", a.StatusCode)
				}
				a.conn.Close()
				synctest.Wait()
			}
		})
	})
}

// TestIdleSocketsOccupySlots checks that anonymous sockets that stay silent
// occupy the slots of their address for the documented time, and no longer.
func TestIdleSocketsOccupySlots(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"default": 0, "3s": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			config := func() wsauth.Config {
				c := firstMessageConfig()
				c.Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: timeout}}
				return c
			}
			want := timeout
			if want == 0 {
				want = 10 * time.Second
			}
			inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
				started := time.Now()
				var crowd []*peer
				for range 100 {
					crowd = append(crowd, x.dialSocket(t, anna, "/access"))
				}
				x.wantNoSlot(t, anna)
				time.Sleep(want - time.Since(started) - 1)
				x.wantNoSlot(t, anna)
				x.dialSocket(t, ben, "/access").hangUp()
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				x.dialSocket(t, anna, "/access").hangUp()
				if d := time.Since(started); d != want {
					t.Errorf("a slot was free after %v, want %v", d, want)
				}
				for _, c := range crowd {
					c.wantClose(t, wsauth.AuthTimeout)
				}
			})
		})
	}
}

// TestRefusedClientsThatDoNotHangUp checks that refused clients that do not
// hang up cannot keep more connections than twice the number of slots.
func TestRefusedClientsThatDoNotHangUp(t *testing.T) {
	inMessageBubble(t, "coder", slotConfig(100, 3, wsauth.RefuseHTTP), func(t *testing.T, x *bubble) {
		var crowd []*peer
		for range 6 {
			c := x.dialSocket(t, anna, "/access")
			c.say("hello")
			synctest.Wait()
			crowd = append(crowd, c)
		}
		x.wantNoSlot(t, anna)
		for _, c := range crowd {
			c.wantClose(t, wsauth.TokenMissing)
		}
		x.dialSocket(t, anna, "/access").hangUp()
	})
}

// TestRefusedSocketsLeaveSlots checks that sockets that are opened only to be
// closed occupy at most half of the slots.
func TestRefusedSocketsLeaveSlots(t *testing.T) {
	inMessageBubble(t, "coder", slotConfig(100, 4, wsauth.RefuseClose), func(t *testing.T, x *bubble) {
		hostile := upgrade("/access", fromOurs, bearer("x"))
		one, two := socketOf(t, x.ask(t, anna, hostile)), socketOf(t, x.ask(t, anna, hostile))
		a := x.ask(t, anna, hostile)
		x.wantRefusal(t, a, wsauth.TokenInvalid)
		a.conn.Close()
		three, four := x.dialSocket(t, anna, "/access"), x.dialSocket(t, anna, "/access")
		x.wantNoSlot(t, anna)
		for _, c := range []*peer{one, two, three, four} {
			c.hangUp()
		}
	})
}

// TestSlotsOfPipelinedHandshakes checks that a handshake that is refused before
// it takes a slot frees none. Otherwise Shutdown would wait forever.
func TestSlotsOfPipelinedHandshakes(t *testing.T) {
	inMessageBubble(t, "coder", slotConfig(1, 1, wsauth.RefuseHTTP), func(t *testing.T, x *bubble) {
		for range 3 {
			a := x.ask(t, anna, upgrade("/access", fromOurs)+string(wstest.Frame(0x81, auth("x"))))
			x.wantRefusal(t, a, wsauth.InvalidHandshake) // H9
			a.conn.Close()
		}
		waiting := x.dialSocket(t, anna, "/access")
		x.wantNoSlot(t, anna)
		x.wantNoSlot(t, ben)
		waiting.hangUp()
	})
}

// TestAnonymousSocketsAtShutdown checks that Shutdown ends anonymous sockets
// like other sockets, and waits for them.
func TestAnonymousSocketsAtShutdown(t *testing.T) {
	inMessageBubble(t, "coder", firstMessageConfig, func(t *testing.T, x *bubble) {
		one, two := x.dialSocket(t, anna, "/access"), x.dialSocket(t, ben, "/access")
		done := make(chan error, 1)
		go func() { done <- x.guard.Shutdown(context.Background()) }()
		one.wantClose(t, wsauth.Restarting)
		two.say(auth(access(t))) // after the shutdown has begun
		if code, reason := two.readClose(t); code != 1012 || reason != "restarting" {
			t.Errorf("closed with %d %q", code, reason)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		a := x.ask(t, carl, upgrade("/access", fromOurs))
		x.takeRequests()
		x.wantRefusal(t, a, wsauth.Restarting)
		a.conn.Close()
	})
}

// TestWhichHandshakesMayWait checks that a socket opens for a later first
// message only if its handshake has no credential and is otherwise valid.
func TestWhichHandshakesMayWait(t *testing.T) {
	config := func() wsauth.Config {
		c := firstMessageConfig()
		c.Extractors = []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Subprotocol{}, wsauth.FirstMessage{}}
		return c
	}
	inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
		made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true, TTL: time.Minute})
		old := issue(t, token.TypeAccess, "alice", token.Options{TTL: time.Second}).Raw
		time.Sleep(2 * time.Second)
		for name, c := range map[string]struct {
			raw  string
			want wsauth.Reason
		}{
			"plain":               {plain("GET", "/access"), wsauth.TokenMissing},
			"plain_h2c":           {plain("GET", "/access", "Connection: Upgrade", "Upgrade: h2c"), wsauth.TokenMissing},
			"bad_header":          {upgrade("/access", fromOurs, bearer("x")), wsauth.TokenInvalid},
			"malformed_header":    {upgrade("/access", fromOurs, "Authorization: Bearer"), wsauth.InvalidRequest},
			"expired_cookie":      {upgrade("/access", fromOurs, cookie(old), csrf("x")), wsauth.TokenExpired},
			"cookie_without_csrf": {upgrade("/access", fromOurs, cookie(made.Raw)), wsauth.CSRFMismatch},
			"subprotocol":         {upgrade("/access", fromOurs, "Sec-WebSocket-Protocol: bearer"), wsauth.InvalidRequest},
			"C3/other_site":       {upgrade("/access", "Origin: https://evil.example"), wsauth.OriginNotAllowed},
			"H1/version":          {strings.Replace(upgrade("/access"), "13", "8", 1), wsauth.VersionNotSupported},
			"T5/token_in_query":   {upgrade("/access?access_token="+made.Raw, fromOurs), wsauth.InvalidRequest},
		} {
			a := x.ask(t, anna, c.raw)
			if a.StatusCode != c.want.Outcome().Status || !strings.Contains(a.body, string(c.want)) {
				t.Errorf("%s: status %d, %s, want %s", name, a.StatusCode, a.body, c.want)
			}
			if logged := x.log.Take(); strings.Contains(logged, made.Raw) || strings.Contains(logged, old) {
				t.Errorf("R6: %s: the log has the token:\n%s", name, logged)
			}
			a.conn.Close()
		}
		for name, raw := range map[string]string{
			"nothing":      upgrade("/access", fromOurs),
			"no_origin":    upgrade("/access"),
			"subprotocols": upgrade("/access", fromOurs, "Sec-WebSocket-Protocol: chat"),
			"T12/basic":    upgrade("/access", fromOurs, "Authorization: Basic x"),
		} {
			a := x.ask(t, anna, raw)
			if a.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%s: status %d: %s", name, a.StatusCode, a.body)
			}
			c := socketOf(t, a)
			c.say(auth(made.Raw))
			c.nextMessage(t)
			c.hangUp()
		}
	})
}

// TestLaterMessages checks that a later message with a token renews the socket
// or ends it. On an optional route, the first token may be in a later message:
// P13 and P14.
func TestLaterMessages(t *testing.T) {
	alice := token.Options{SessionID: "one"}
	for name, c := range map[string]struct {
		path, first, second string // subject:session
		want                wsauth.Reason
	}{
		"P13/another_user":             {"/access", "alice:one", "bob:one", wsauth.NotAuthorized},
		"P13/another_session":          {"/access", "alice:one", "alice:two", wsauth.TokenInvalid},
		"P13/no_session":               {"/access", "alice:one", "alice", wsauth.TokenInvalid},
		"P13/same":                     {"/access", "alice:one", "alice:one", ""},
		"P13/another_optional":         {"/optional", "alice:one", "bob:one", wsauth.NotAuthorized},
		"P13/after_an_anonymous_start": {"/optional", "", "alice:one", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inMessageBubble(t, "coder", firstMessageConfig, func(t *testing.T, x *bubble) {
				peer := x.dialSocket(t, anna, c.path)
				if c.path == "/optional" {
					peer.say("hello") // as an anonymous client
					peer.nextMessage(t)
					if got := <-x.messages; got != "anonymous: hello" {
						t.Errorf("the application got %q", got)
					}
					time.Sleep(time.Hour) // an optional route does not end the socket
				}
				for i, who := range []string{c.first, c.second} {
					if who == "" {
						continue
					}
					subject, sid, _ := strings.Cut(who, ":")
					peer.say(auth(issue(t, token.TypeAccess, subject, token.Options{SessionID: sid}).Raw))
					if i == 1 && c.want != "" {
						peer.wantClose(t, c.want)
						return
					}
					if got := peer.nextMessage(t); !strings.Contains(got, "auth_ok") {
						t.Errorf("answered %q", got)
					}
					time.Sleep(2 * time.Second)
				}
				peer.say("hello")
				peer.nextMessage(t)
				if got := <-x.messages; got != "alice: hello" {
					t.Errorf("the application got %q", got)
				}
				peer.hangUp()
			})
		})
	}
	t.Run("P14/many", func(t *testing.T) {
		inMessageBubble(t, "coder", firstMessageConfig, func(t *testing.T, x *bubble) {
			peer := x.dialSocket(t, anna, "/access")
			message := auth(issue(t, token.TypeAccess, "alice", alice).Raw)
			peer.send([]byte(strings.Repeat(string(wstest.Frame(0x81, message)), 10_000)))
			for range 10 {
				if got := peer.nextMessage(t); !strings.Contains(got, "auth_ok") {
					t.Errorf("answered %q", got)
				}
			}
			peer.wantClose(t, wsauth.RateLimited)
		})
	})
}
