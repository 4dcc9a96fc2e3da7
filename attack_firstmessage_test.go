package wsauth_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"wsauth"
	"wsauth/token"
)

// TestFirstMessage: each form of it makes the client known, to each library's
// handler, and after that the client may say what it likes.
func TestFirstMessage(t *testing.T) {
	for library := range lobbies {
		for name, c := range map[string]struct {
			message func(string) string
			reply   string
		}{
			"auth":          {auth, "auth_ok"},
			"payload":       {initPayload, "connection_ack"},
			"authorization": {initHeader, "connection_ack"},
			"lower_case":    {func(tok string) string { return strings.Replace(initHeader(tok), "Bearer", "bearer", 1) }, "connection_ack"},
			"more_members": {func(tok string) string {
				return strings.Replace(auth(tok), "{", `{"id":7,"x":{"type":"x","token":[]},`, 1)
			}, "auth_ok"},
			"in_fragments": {nil, "auth_ok"},
		} {
			t.Run("P3/"+library+"/"+name, func(t *testing.T) {
				inLobby(t, library, lobbyConfig, func(t *testing.T, x *lobby) {
					made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true}) // nobody asks for the CSRF value
					caller := x.call(t, "", "/access")
					if c.message == nil {
						for i, part := range []string{auth(made.Raw)[:9], auth(made.Raw)[9:50], ""} {
							caller.send(frame([]byte{1, 0, 0}[i], part))
							time.Sleep(time.Second)
						}
						caller.send(frame(0x80, auth(made.Raw)[50:]))
					} else {
						caller.say(c.message(made.Raw))
					}
					want := fmt.Sprintf(`{"type":%q}`, c.reply)
					if c.reply == "auth_ok" {
						want = fmt.Sprintf(`{"type":"auth_ok","expires_at":%d}`, made.Claims.ExpiresAt.Unix())
					}
					if got := caller.hear(t); got != want {
						t.Errorf("answered %s, want %s", got, want)
					}
					long := strings.Repeat("x", 200<<10) // the budget of strangers is lifted
					for _, message := range []string{"hello", long, initPayload("x")} {
						caller.say(message)
						if got := caller.hear(t); got != "heard" {
							t.Errorf("answered %q", got)
						}
						if got := <-x.heard; got != "alice: "+message {
							t.Errorf("heard %.100q", got)
						}
					}
					time.Sleep(time.Until(made.Claims.ExpiresAt) - 1)
					caller.say("again")
					caller.hear(t)
					<-x.heard
					caller.wantClose(t, wsauth.TokenExpired)
					if !time.Now().Equal(made.Claims.ExpiresAt) {
						t.Errorf("closed %v after its token", time.Since(made.Claims.ExpiresAt))
					}
					if logged := x.log.take(); strings.Contains(logged, made.Raw) {
						t.Errorf("R6: the log has the token:\n%s", logged)
					}
				})
			})
		}
	}
}

// TestFirstMessageTimeout is P1: whatever a client sends, if it is no token
// its time is up at the moment that was set. The rest is P11 and P12: five
// seconds later the connection is gone, whatever the client does.
func TestFirstMessageTimeout(t *testing.T) {
	every := func(d time.Duration, first, raw []byte) func(*caller) {
		return func(c *caller) {
			go func() {
				_, err := c.conn.Write(first)
				for ; err == nil; time.Sleep(d) {
					_, err = c.conn.Write(raw)
				}
			}()
		}
	}
	for _, timeout := range []time.Duration{0, time.Second, time.Minute} {
		for name, act := range map[string]func(*caller){
			"silence":       func(*caller) {},
			"half_a_frame":  func(c *caller) { c.send(frame(0x81, auth("x"))[:10]) },
			"half_a_head":   func(c *caller) { c.send([]byte{0x81}) },
			"first_part":    func(c *caller) { c.send(frame(1, auth("x"))) },
			"slow_parts":    every(100*time.Millisecond, frame(1, "{"), frame(0, "x")),
			"unasked_pongs": every(700*time.Millisecond, nil, frame(0x8a, "x")),
		} {
			t.Run(fmt.Sprintf("P1/%s/%v", name, timeout), func(t *testing.T) {
				config := func() wsauth.Config {
					c := lobbyConfig()
					c.Locations = []wsauth.Location{wsauth.FirstMessage{Timeout: timeout}}
					c.Limits.Unauthenticated = 1
					return c
				}
				want := timeout
				if want == 0 {
					want = 10 * time.Second
				}
				inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
					c := x.call(t, "", "/access")
					act(c)
					code, reason, err := c.readToClose()
					if d := time.Since(c.opened); code != 3008 || reason != "auth_timeout" || d != want {
						t.Errorf("closed with %d %q, %v after %v", code, reason, err, d)
					}
					// Its place is free, though its client does not hang up.
					next := x.call(t, "", "/access")
					x.wantNoRoom(t, "")
					next.hangUp()
					// P11: the client does not answer, and goes on.
					if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
						t.Errorf("% x after the close frame, %v", rest, err)
					}
					time.Sleep(5 * time.Second)
					synctest.Wait()
					if _, err := c.conn.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("P11: the connection is open: %v", err)
					}
					c.hangUp()
				})
			})
		}
	}
	t.Run("P12/reads_nothing", func(t *testing.T) {
		config := func() wsauth.Config { c := lobbyConfig(); c.Limits.Unauthenticated = 1; return c }
		inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
			x.call(t, "", "/access")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			x.call(t, "", "/access").hangUp()
			time.Sleep(5 * time.Second)
		})
	})
}

// TestFirstMessageRefused is P2 to P6: what is no token ends the socket, and the
// application hears none of it.
func TestFirstMessageRefused(t *testing.T) {
	const missing, tooBig = "token_missing", "message_too_big"
	fragments := frame(1, "{")
	for range 131_000 {
		fragments = append(fragments, frame(0, "x")...)
	}
	text := func(s string) []byte { return frame(0x81, s) }
	header := func(size ...byte) []byte { return append([]byte{0x81, 0xff}, append(size, 0, 0, 0, 0)...) }
	for name, c := range map[string]struct {
		raw    []byte
		code   int    // 0 is none: the library hangs up
		other  string // a library that answers with another code
		its    int    // that code
		reason string // "" where it is the library's
	}{
		"P2/binary":       {frame(0x82, auth("x")), 1003, "", 0, ""},
		"P2/not_json":     {text("hello"), 3000, "", 0, missing},
		"P2/empty":        {text(""), 3000, "", 0, missing},
		"P2/empty_object": {text("{}"), 3000, "", 0, missing},
		"P2/null":         {text("null"), 3000, "", 0, missing},
		"P2/array":        {text("[" + auth("x") + "]"), 3000, "", 0, missing},
		"P2/another_type": {text(`{"type":"subscribe","token":"x"}`), 3000, "", 0, missing},
		"P2/64KiB":        {text(strings.Repeat("x", 64<<10-8)), 3000, "", 0, missing},
		"P2/64KiB_and_1":  {text(strings.Repeat("x", 64<<10-7)), 1009, "", 0, tooBig},
		"P2/1MiB":         {text(auth(strings.Repeat("x", 1<<20))), 1009, "", 0, tooBig},
		"P2/two_frames":   {slices.Concat(frame(1, strings.Repeat("x", 40<<10)), frame(0x80, strings.Repeat("x", 40<<10))), 1009, "", 0, tooBig},
		"P3/application":  {slices.Concat(text(`{"type":"order"}`), text(auth("x"))), 3000, "", 0, missing},
		"P4/fragments":    {fragments, 1009, "", 0, tooBig},
		"P5/2^63-1":       {append(header(0x7f, 255, 255, 255, 255, 255, 255, 255), make([]byte, 70<<10)...), 1009, "", 0, ""},
		// gws reads such a length as a negative one and panics, which the guard
		// makes the end of this socket alone.
		"P5/2^63":            {append(header(0x80, 0, 0, 0, 0, 0, 0, 0), make([]byte, 70<<10)...), 0, "gws", 1011, ""},
		"P5/2^32":            {append(header(0, 0, 0, 1, 0, 0, 0, 0), make([]byte, 70<<10)...), 1009, "", 0, ""},
		"P6/unmasked":        {append([]byte{0x81, 2}, "{}"...), 1002, "coder", 0, ""},
		"P7/reserved_bits":   {append([]byte{0xf1}, text("{}")[1:]...), 1002, "", 0, ""},
		"P7/reserved_opcode": {frame(0x83, "{}"), 1002, "", 0, ""},
		"P9/long_ping":       {frame(0x89, strings.Repeat("x", 126)), 1002, "", 0, ""},
	} {
		for library := range lobbies {
			t.Run(name+"/"+library, func(t *testing.T) {
				inLobby(t, library, lobbyConfig, func(t *testing.T, x *lobby) {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					caller := x.call(t, "", "/access")
					caller.send(c.raw)
					code, reason, err := caller.readToClose()
					caller.hangUp()
					runtime.ReadMemStats(&after)
					if err != nil && !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					want := c.code
					if library == c.other {
						want = c.its
					}
					if code != want || c.reason != "" && reason != c.reason {
						t.Errorf("closed with %d %q, want %d %q", code, reason, want, c.reason)
					}
					if n := caller.took.Load(); n > 64<<10+1 {
						t.Errorf("the server has read %d bytes", n)
					}
					if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
						t.Errorf("%d bytes were allocated", n)
					}
					if n := len(x.guard.Sessions("alice")); n != 0 {
						t.Errorf("%d sockets", n)
					}
				})
			})
		}
	}
}

// TestFirstMessageForms: what looks like a message with a token and is none.
func TestFirstMessageForms(t *testing.T) {
	const tok = "TOKEN" // stands for a good one
	for name, message := range map[string]string{
		"upper_case_type": strings.Replace(auth(tok), "auth", "AUTH", 1), "upper_case_name": strings.Replace(auth(tok), "type", "Type", 1),
		"upper_case_token": strings.Replace(auth(tok), "token", "Token", 1), "long_s": strings.Replace(auth(tok), "token", "to\u212aen", 1),
		"type_twice":      strings.Replace(auth(tok), "{", `{"type":"auth",`, 1),
		"token_twice":     strings.Replace(auth(tok), "}", `,"token":"x"}`, 1),
		"token_escaped":   strings.Replace(auth(tok), "}", `,"\u0074oken":"x"}`, 1),
		"member_twice":    strings.Replace(auth(tok), "}", `,"a":1,"a":2}`, 1),
		"token_empty":     auth(""),
		"token_null":      `{"type":"auth","token":null}`,
		"token_number":    `{"type":"auth","token":1}`,
		"token_array":     `{"type":"auth","token":["` + tok + `"]}`,
		"type_array":      `{"type":["auth"],"token":"` + tok + `"}`,
		"auth_in_payload": `{"type":"auth","payload":{"token":"` + tok + `"}}`,
		"init_outside":    `{"type":"connection_init","token":"` + tok + `"}`,
		"init_both":       `{"type":"connection_init","token":"` + tok + `","payload":{"token":"` + tok + `"}}`,
		"init_two":        `{"type":"connection_init","payload":{"token":"` + tok + `","Authorization":"Bearer ` + tok + `"}}`,
		"init_basic":      strings.Replace(initHeader(tok), "Bearer", "Basic", 1),
		"init_bare":       strings.Replace(initHeader(tok), "Bearer ", "", 1),
		"init_scheme":     strings.Replace(initHeader(tok), "Bearer "+tok, "Bearer", 1),
		"init_small":      strings.Replace(initHeader(tok), "Authorization", "authorization", 1),
		"init_null":       `{"type":"connection_init","payload":null}`,
		"init_nothing":    `{"type":"connection_init"}`,
		"two_objects":     auth(tok) + auth(tok), "trailing": auth(tok) + "x", "bom": "\ufeff" + auth(tok), "comment": "/**/" + auth(tok),
		"trailing_comma": strings.Replace(auth(tok), "}", ",}", 1), "single_quotes": strings.ReplaceAll(auth(tok), `"`, "'"),
		"surrogate": strings.Replace(auth(tok), "}", `,"x":"\ud800"}`, 1), "bad_utf8": strings.Replace(auth(tok), "}", ",\"x\":\"\xff\"}", 1),
		"depth": strings.Replace(auth(tok), "}", `,"x":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+"}", 1),
	} {
		t.Run("P2/"+name, func(t *testing.T) {
			inLobby(t, "coder", lobbyConfig, func(t *testing.T, x *lobby) {
				good := access(t)
				c := x.call(t, "", "/access")
				c.say(strings.ReplaceAll(message, tok, good))
				code, reason := c.closed(t)
				if (code != 3000 || reason != "token_missing") && (name != "bad_utf8" || code != 1007) { // the library may be first
					t.Errorf("closed with %d %q", code, reason)
				}
				if logged := x.log.take(); strings.Contains(logged, good) {
					t.Errorf("R6: the log has the token:\n%s", logged)
				}
			})
		})
	}
}

// TestHostileFirstMessages is the whole of J at this location.
func TestHostileFirstMessages(t *testing.T) {
	type end struct {
		hostile
		message, reason, logged string
		code                    int
	}
	var ends []end
	evil := trap(t)
	config := func() wsauth.Config { c := lobbyConfig(); c.Limits.Unauthenticated = 1; return c }
	inLobby(t, "coder", config, func(t *testing.T, x *lobby) {
		forms := []func(string) string{auth, initPayload, initHeader}
		for i, h := range corpus(evil) {
			e := end{hostile: h, message: forms[i%3](h.token)}
			c := x.call(t, "", "/access")
			c.say(e.message)
			e.code, e.reason = c.closed(t)
			e.logged = x.log.take()
			ends = append(ends, e)
		}
	})
	if len(ends) < 300 {
		t.Fatalf("only %d tokens", len(ends))
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			want := reasonFor(e.name)
			switch {
			case len(frame(0x81, e.message)) > 64<<10:
				want = wsauth.MessageTooBig
			case !utf8.ValidString(e.token), e.token == "":
				want = wsauth.TokenMissing
			}
			if e.reason != string(want) || e.code != want.Outcome().Code {
				t.Errorf("closed with %d %q, want %q", e.code, e.reason, want)
			}
			for _, secret := range pieces(e.token) {
				if strings.Contains(e.logged, secret) {
					t.Errorf("R6: the log has %.60q:\n%s", secret, e.logged)
				}
			}
		})
	}
}
