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
const anna, ben, carl, carlToo = "192.0.2.1:1000", "192.0.2.2:1000", "[2001:db8::1]:1000", "[2001:db8::2]:1000"

func slots(all, perAddress int, refusal wsauth.Refusal) func() wsauth.Config {
	return func() wsauth.Config {
		c := lobbyConfig()
		c.Extractors = append(c.Extractors, wsauth.Header{})
		c.Limits = wsauth.Limits{Unauthenticated: all, UnauthenticatedPerAddress: perAddress}
		c.Refusal = refusal
		return c
	}
}

// wantNoRoom checks that a handshake is refused over HTTP: a close frame would
// need a socket, too.
func (x *bubble) wantNoRoom(t *testing.T, from string) {
	t.Helper()
	a := x.ask(t, from, upgrade("/access", fromOurs))
	x.wantRefusal(t, a, wsauth.RateLimited)
	a.conn.Close()
}

// TestSlots checks that anonymous sockets are limited, for each address and in
// all, and free their places however they end.
func TestSlots(t *testing.T) {
	for way, refusal := range map[string]wsauth.Refusal{"http": wsauth.RefuseHTTP, "close": wsauth.RefuseClose} {
		t.Run("R2/per_address/"+way, func(t *testing.T) {
			inLobby(t, "coder", slots(100, 2, refusal), func(t *testing.T, x *bubble) {
				one, two := x.call(t, anna, "/access"), x.call(t, anna, "/access")
				x.wantNoRoom(t, anna)
				other := x.call(t, ben, "/access")
				first, second := x.call(t, carl, "/access"), x.call(t, carlToo, "/access")
				x.wantNoRoom(t, carl)
				one.hangUp()
				three := x.call(t, anna, "/access")
				x.wantNoRoom(t, anna)
				for _, c := range []*caller{two, other, first, second, three} {
					c.hangUp()
				}
			})
		})
		t.Run("R2/in_all/"+way, func(t *testing.T) {
			inLobby(t, "coder", slots(2, 2, refusal), func(t *testing.T, x *bubble) {
				one, two := x.call(t, anna, "/access"), x.call(t, ben, "/access")
				full := func() { t.Helper(); x.wantNoRoom(t, anna); x.wantNoRoom(t, carl) }
				full()

				// Authenticated clients need no place, and free theirs.
				known := called(t, x.ask(t, carl, upgrade("/access", fromOurs, bearer(access(t)))))
				full()
				one.say(auth(access(t)))
				one.hear(t)
				three := x.call(t, carl, "/access")
				full()

				two.say("hello")
				two.wantClose(t, wsauth.TokenMissing)
				four := x.call(t, carl, "/access")
				full()

				three.wantClose(t, wsauth.AuthTimeout)
				four.wantClose(t, wsauth.AuthTimeout)
				five, six := x.call(t, ben, "/access"), x.call(t, ben, "/access")
				full()
				for _, c := range []*caller{known, one, five, six} {
					c.hangUp()
				}
			})
		})
	}
	t.Run("R2/opened_to_be_closed", func(t *testing.T) {
		inLobby(t, "coder", slots(2, 2, wsauth.RefuseClose), func(t *testing.T, x *bubble) {
			waiting := x.call(t, anna, "/access")
			hostile := upgrade("/access", fromOurs, bearer("x"))
			refused := called(t, x.ask(t, ben, hostile)) // it does not read the reason
			a := x.ask(t, carl, hostile)
			if a.StatusCode != http.StatusUnauthorized {
				t.Errorf("status %d, want 401", a.StatusCode)
			}
			x.wantNoRoom(t, carl)
			refused.wantClose(t, wsauth.TokenInvalid)
			again := called(t, x.ask(t, ben, hostile))
			x.took()
			x.wantNoRoom(t, carl)
			time.Sleep(5 * time.Second) // P12
			synctest.Wait()
			x.call(t, carl, "/access").hangUp()
			again.hangUp()
			waiting.hangUp()
		})
	})
	t.Run("R2/handler_that_does_not_upgrade", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x, stop := newBubble(t, slots(1, 1, wsauth.RefuseHTTP)(), func(*bubble) http.HandlerFunc { return http.NotFound })
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

// TestIdleCrowd opens anonymous sockets that stay silent. They keep other
// clients of their address out for the documented time, and no longer.
func TestIdleCrowd(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"default": 0, "3s": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			config := func() wsauth.Config {
				c := lobbyConfig()
				c.Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: timeout}}
				return c
			}
			want := timeout
			if want == 0 {
				want = 10 * time.Second
			}
			inLobby(t, "coder", config, func(t *testing.T, x *bubble) {
				begun := time.Now()
				var crowd []*caller
				for range 100 {
					crowd = append(crowd, x.call(t, anna, "/access"))
				}
				x.wantNoRoom(t, anna)
				time.Sleep(want - time.Since(begun) - 1)
				x.wantNoRoom(t, anna)
				x.call(t, ben, "/access").hangUp()
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				x.call(t, anna, "/access").hangUp()
				if d := time.Since(begun); d != want {
					t.Errorf("a place was free after %v, want %v", d, want)
				}
				for _, c := range crowd {
					c.wantClose(t, wsauth.AuthTimeout)
				}
			})
		})
	}
}

// TestCrowdThatDoesNotHangUp checks that refused clients that do not hang up
// cannot keep more than twice the places in connections.
func TestCrowdThatDoesNotHangUp(t *testing.T) {
	inLobby(t, "coder", slots(100, 3, wsauth.RefuseHTTP), func(t *testing.T, x *bubble) {
		var crowd []*caller
		for range 6 {
			c := x.call(t, anna, "/access")
			c.say("hello")
			synctest.Wait()
			crowd = append(crowd, c)
		}
		x.wantNoRoom(t, anna)
		for _, c := range crowd {
			c.wantClose(t, wsauth.TokenMissing)
		}
		x.call(t, anna, "/access").hangUp()
	})
}

// TestRefusedLeaveRoom checks that sockets that are opened only to be closed
// take at most half of the places.
func TestRefusedLeaveRoom(t *testing.T) {
	inLobby(t, "coder", slots(100, 4, wsauth.RefuseClose), func(t *testing.T, x *bubble) {
		hostile := upgrade("/access", fromOurs, bearer("x"))
		one, two := called(t, x.ask(t, anna, hostile)), called(t, x.ask(t, anna, hostile))
		a := x.ask(t, anna, hostile)
		x.wantRefusal(t, a, wsauth.TokenInvalid)
		a.conn.Close()
		three, four := x.call(t, anna, "/access"), x.call(t, anna, "/access")
		x.wantNoRoom(t, anna)
		for _, c := range []*caller{one, two, three, four} {
			c.hangUp()
		}
	})
}

// TestSlotsOfPipelinedHandshakes checks that a handshake that is refused
// before it takes a place frees none. Shutdown would wait forever.
func TestSlotsOfPipelinedHandshakes(t *testing.T) {
	inLobby(t, "coder", slots(1, 1, wsauth.RefuseHTTP), func(t *testing.T, x *bubble) {
		for range 3 {
			a := x.ask(t, anna, upgrade("/access", fromOurs)+string(wstest.Frame(0x81, auth("x"))))
			x.wantRefusal(t, a, wsauth.InvalidHandshake) // H9
			a.conn.Close()
		}
		waiting := x.call(t, anna, "/access")
		x.wantNoRoom(t, anna)
		x.wantNoRoom(t, ben)
		waiting.hangUp()
	})
}

// TestWaitingSocketsAtShutdown checks that Shutdown ends anonymous sockets
// like others, and waits for them.
func TestWaitingSocketsAtShutdown(t *testing.T) {
	inLobby(t, "coder", lobbyConfig, func(t *testing.T, x *bubble) {
		one, two := x.call(t, anna, "/access"), x.call(t, ben, "/access")
		done := make(chan error, 1)
		go func() { done <- x.guard.Shutdown(context.Background()) }()
		one.wantClose(t, wsauth.Restarting)
		two.say(auth(access(t))) // too late
		if code, reason := two.closed(t); code != 1012 || reason != "restarting" {
			t.Errorf("closed with %d %q", code, reason)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		a := x.ask(t, carl, upgrade("/access", fromOurs))
		x.took()
		x.wantRefusal(t, a, wsauth.Restarting)
		a.conn.Close()
	})
}

// TestWhoMayWait checks that a handshake may authenticate later only if it
// carries no credential and is good otherwise.
func TestWhoMayWait(t *testing.T) {
	config := func() wsauth.Config {
		c := lobbyConfig()
		c.Extractors = []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Subprotocol{}, wsauth.FirstMessage{}}
		return c
	}
	inLobby(t, "coder", config, func(t *testing.T, x *bubble) {
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
			c := called(t, a)
			c.say(auth(made.Raw))
			c.hear(t)
			c.hangUp()
		}
	})
}

// TestLaterMessages checks that a later message with a token renews the socket
// or ends it. On an optional route it may be the first: P13 and P14.
func TestLaterMessages(t *testing.T) {
	alice := token.Options{SessionID: "one"}
	for name, c := range map[string]struct {
		path, first, second string // subject:session
		want                wsauth.Reason
	}{
		"P13/another_user":           {"/access", "alice:one", "bob:one", wsauth.NotAuthorized},
		"P13/another_session":        {"/access", "alice:one", "alice:two", wsauth.TokenInvalid},
		"P13/no_session":             {"/access", "alice:one", "alice", wsauth.TokenInvalid},
		"P13/same":                   {"/access", "alice:one", "alice:one", ""},
		"P13/another_optional":       {"/optional", "alice:one", "bob:one", wsauth.NotAuthorized},
		"P13/after_an_unknown_start": {"/optional", "", "alice:one", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inLobby(t, "coder", lobbyConfig, func(t *testing.T, x *bubble) {
				caller := x.call(t, anna, c.path)
				if c.path == "/optional" {
					caller.say("hello") // anonymously
					caller.hear(t)
					if got := <-x.heard; got != "nobody: hello" {
						t.Errorf("heard %q", got)
					}
					time.Sleep(time.Hour) // an optional route does not end it
				}
				for i, who := range []string{c.first, c.second} {
					if who == "" {
						continue
					}
					subject, sid, _ := strings.Cut(who, ":")
					caller.say(auth(issue(t, token.TypeAccess, subject, token.Options{SessionID: sid}).Raw))
					if i == 1 && c.want != "" {
						caller.wantClose(t, c.want)
						return
					}
					if got := caller.hear(t); !strings.Contains(got, "auth_ok") {
						t.Errorf("answered %q", got)
					}
					time.Sleep(2 * time.Second)
				}
				caller.say("hello")
				caller.hear(t)
				if got := <-x.heard; got != "alice: hello" {
					t.Errorf("heard %q", got)
				}
				caller.hangUp()
			})
		})
	}
	t.Run("P14/many", func(t *testing.T) {
		inLobby(t, "coder", lobbyConfig, func(t *testing.T, x *bubble) {
			caller := x.call(t, anna, "/access")
			message := auth(issue(t, token.TypeAccess, "alice", alice).Raw)
			caller.send([]byte(strings.Repeat(string(wstest.Frame(0x81, message)), 10_000)))
			for range 10 {
				if got := caller.hear(t); !strings.Contains(got, "auth_ok") {
					t.Errorf("answered %q", got)
				}
			}
			caller.wantClose(t, wsauth.RateLimited)
		})
	})
}
