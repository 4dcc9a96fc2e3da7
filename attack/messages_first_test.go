package attack

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
	"wsauth/internal/wstest"
	"wsauth/token"
)

// TestFirstMessage checks authentication with each form of first message and
// each library. Afterwards the client may send any message.
func TestFirstMessage(t *testing.T) {
	for library := range firstMessageHandlers {
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
				inMessageBubble(t, library, firstMessageConfig, func(t *testing.T, x *bubble) {
					made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true}) // a message needs no CSRF value
					peer := x.dialSocket(t, "", "/access")
					if c.message == nil {
						for i, part := range []string{auth(made.Raw)[:9], auth(made.Raw)[9:50], ""} {
							peer.send(wstest.Frame([]byte{1, 0, 0}[i], part))
							time.Sleep(time.Second)
						}
						peer.send(wstest.Frame(0x80, auth(made.Raw)[50:]))
					} else {
						peer.say(c.message(made.Raw))
					}
					want := fmt.Sprintf(`{"type":%q}`, c.reply)
					if c.reply == "auth_ok" {
						want = fmt.Sprintf(`{"type":"auth_ok","expires_at":%d}`, made.Claims.ExpiresAt.Unix())
					}
					if got := peer.nextMessage(t); got != want {
						t.Errorf("answered %s, want %s", got, want)
					}
					long := strings.Repeat("x", 200<<10) // more than an anonymous client may send
					for _, message := range []string{"hello", long, initPayload("x")} {
						peer.say(message)
						if got := peer.nextMessage(t); got != "heard" {
							t.Errorf("answered %q", got)
						}
						if got := <-x.messages; got != "alice: "+message {
							t.Errorf("the application got %.100q, want %.100q", got, "alice: "+message)
						}
					}
					time.Sleep(time.Until(made.Claims.ExpiresAt) - 1)
					peer.say("again")
					peer.nextMessage(t)
					<-x.messages
					peer.wantClose(t, wsauth.TokenExpired)
					if !time.Now().Equal(made.Claims.ExpiresAt) {
						t.Errorf("closed %v after its token", time.Since(made.Claims.ExpiresAt))
					}
					if logged := x.log.Take(); strings.Contains(logged, made.Raw) {
						t.Errorf("R6: the log has the token:\n%s", logged)
					}
				})
			})
		}
	}
}

// TestFirstMessageTimeout checks that a socket without authentication is closed
// in time, whatever the client sends (P1). Its connection is closed five
// seconds later, whatever the client does (P11, P12).
func TestFirstMessageTimeout(t *testing.T) {
	every := func(d time.Duration, first, raw []byte) func(*peer) {
		return func(c *peer) {
			go func() {
				_, err := c.Conn.Write(first)
				for ; err == nil; time.Sleep(d) {
					_, err = c.Conn.Write(raw)
				}
			}()
		}
	}
	for _, timeout := range []time.Duration{0, time.Second, time.Minute} {
		for name, act := range map[string]func(*peer){
			"silence":       func(*peer) {},
			"half_a_frame":  func(c *peer) { c.send(wstest.Frame(0x81, auth("x"))[:10]) },
			"half_a_head":   func(c *peer) { c.send([]byte{0x81}) },
			"first_part":    func(c *peer) { c.send(wstest.Frame(1, auth("x"))) },
			"slow_parts":    every(100*time.Millisecond, wstest.Frame(1, "{"), wstest.Frame(0, "x")),
			"unasked_pongs": every(700*time.Millisecond, nil, wstest.Frame(0x8a, "x")),
		} {
			t.Run(fmt.Sprintf("P1/%s/%v", name, timeout), func(t *testing.T) {
				config := func() wsauth.Config {
					c := firstMessageConfig()
					c.Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: timeout}}
					c.Limits.Unauthenticated = 1
					return c
				}
				want := timeout
				if want == 0 {
					want = 10 * time.Second
				}
				inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
					c := x.dialSocket(t, "", "/access")
					act(c)
					code, reason, err := c.ReadClose()
					if d := time.Since(c.opened); code != 3008 || reason != "auth_timeout" || d != want {
						t.Errorf("closed with %d %q, %v after %v", code, reason, err, d)
					}
					// The slot is free, although the client does not hang up.
					next := x.dialSocket(t, "", "/access")
					x.wantNoSlot(t, "")
					next.hangUp()
					// P11: the client does not answer the close frame.
					if rest, err := io.ReadAll(c.In); len(rest) > 0 || err != nil {
						t.Errorf("% x after the close frame, %v", rest, err)
					}
					time.Sleep(5 * time.Second)
					synctest.Wait()
					if _, err := c.Conn.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("P11: the connection is open: %v", err)
					}
					c.hangUp()
				})
			})
		}
	}
	t.Run("P12/reads_nothing", func(t *testing.T) {
		config := func() wsauth.Config { c := firstMessageConfig(); c.Limits.Unauthenticated = 1; return c }
		inMessageBubble(t, "coder", config, func(t *testing.T, x *bubble) {
			x.dialSocket(t, "", "/access")
			time.Sleep(10 * time.Second)
			synctest.Wait()
			x.dialSocket(t, "", "/access").hangUp()
			time.Sleep(5 * time.Second)
		})
	})
}

// TestFirstMessageRefused checks that a first message without a token ends the
// socket, and that the application gets none of it: P2 to P9.
func TestFirstMessageRefused(t *testing.T) {
	const missing, tooBig = "token_missing", "message_too_big"
	fragments := wstest.Frame(1, "{")
	for range 131_000 {
		fragments = append(fragments, wstest.Frame(0, "x")...)
	}
	text := func(s string) []byte { return wstest.Frame(0x81, s) }
	header := func(size ...byte) []byte { return append([]byte{0x81, 0xff}, append(size, 0, 0, 0, 0)...) }
	for name, c := range map[string]struct {
		raw    []byte
		code   int    // 0 if the library hangs up without a close frame
		other  string // the library that uses another code
		its    int    // the code of that library
		reason string // "" if the library closes the socket
	}{
		"P2/binary":       {wstest.Frame(0x82, auth("x")), 1003, "", 0, ""},
		"P2/not_json":     {text("hello"), 3000, "", 0, missing},
		"P2/empty":        {text(""), 3000, "", 0, missing},
		"P2/empty_object": {text("{}"), 3000, "", 0, missing},
		"P2/null":         {text("null"), 3000, "", 0, missing},
		"P2/array":        {text("[" + auth("x") + "]"), 3000, "", 0, missing},
		"P2/another_type": {text(`{"type":"subscribe","token":"x"}`), 3000, "", 0, missing},
		"P2/64KiB":        {text(strings.Repeat("x", 64<<10-8)), 3000, "", 0, missing},
		"P2/64KiB_and_1":  {text(strings.Repeat("x", 64<<10-7)), 1009, "", 0, tooBig},
		"P2/1MiB":         {text(auth(strings.Repeat("x", 1<<20))), 1009, "", 0, tooBig},
		"P2/two_frames":   {slices.Concat(wstest.Frame(1, strings.Repeat("x", 40<<10)), wstest.Frame(0x80, strings.Repeat("x", 40<<10))), 1009, "", 0, tooBig},
		"P3/application":  {slices.Concat(text(`{"type":"order"}`), text(auth("x"))), 3000, "", 0, missing},
		"P4/fragments":    {fragments, 1009, "", 0, tooBig},
		"P5/2^63-1":       {append(header(0x7f, 255, 255, 255, 255, 255, 255, 255), make([]byte, 70<<10)...), 1009, "", 0, ""},
		// gws reads such a length as a negative number and panics. The guard
		// recovers.
		"P5/2^63":            {append(header(0x80, 0, 0, 0, 0, 0, 0, 0), make([]byte, 70<<10)...), 0, "gws", 1011, ""},
		"P5/2^32":            {append(header(0, 0, 0, 1, 0, 0, 0, 0), make([]byte, 70<<10)...), 1009, "", 0, ""},
		"P6/unmasked":        {append([]byte{0x81, 2}, "{}"...), 1002, "coder", 0, ""},
		"P7/reserved_bits":   {append([]byte{0xf1}, text("{}")[1:]...), 1002, "", 0, ""},
		"P7/reserved_opcode": {wstest.Frame(0x83, "{}"), 1002, "", 0, ""},
		"P9/long_ping":       {wstest.Frame(0x89, strings.Repeat("x", 126)), 1002, "", 0, ""},
	} {
		for library := range firstMessageHandlers {
			t.Run(name+"/"+library, func(t *testing.T) {
				inMessageBubble(t, library, firstMessageConfig, func(t *testing.T, x *bubble) {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					peer := x.dialSocket(t, "", "/access")
					peer.send(c.raw)
					code, reason, err := peer.ReadClose()
					peer.hangUp()
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
					if n := peer.taken.Load(); n > 64<<10+1 {
						t.Errorf("the server has read %d bytes", n)
					}
					if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
						t.Errorf("%d bytes were allocated", n)
					}
					if n := len(slices.Collect(x.guard.Sockets(wsauth.Filter{Subject: "alice"}))); n != 0 {
						t.Errorf("%d sockets are left", n)
					}
				})
			})
		}
	}
}

// TestMessageVectors checks that first messages that only resemble a message
// with a token are refused.
func TestMessageVectors(t *testing.T) {
	for _, v := range wstest.Vectors(t, "testdata/messages") {
		t.Run(v.String(), func(t *testing.T) {
			inMessageBubble(t, "coder", firstMessageConfig, func(t *testing.T, x *bubble) {
				good := access(t)
				c := x.dialSocket(t, "", "/access")
				c.say(strings.ReplaceAll(v.Text, "TOKEN", good))
				code, reason := c.readClose(t)
				if want := wsauth.Reason(v.Expect).Outcome().Code; code != want || reason != v.Expect {
					if utf8.ValidString(v.Text) || code != 1007 { // if it is not UTF-8, the library may refuse it first
						t.Errorf("closed with %d %q, want %d %q", code, reason, want, v.Expect)
					}
				}
				if logged := x.log.Take(); strings.Contains(logged, good) {
					t.Errorf("R6: the log has the token:\n%s", logged)
				}
			})
		})
	}
}

// TestTokenVectorsInMessages checks the answer to every token vector in a first
// message.
func TestTokenVectorsInMessages(t *testing.T) {
	forms := []func(string) string{auth, initPayload, initHeader}
	for i, v := range slices.Concat(wstest.Vectors(t, "testdata/tokens"), large()) {
		message := forms[i%3](v.Text)
		want := wsauth.Reason(v.Expect)
		switch {
		case len(wstest.Frame(0x81, message)) > 64<<10:
			want = wsauth.MessageTooBig
		case !utf8.ValidString(v.Text):
			want = wsauth.TokenMissing
		}
		t.Run(v.String(), func(t *testing.T) {
			inMessageBubble(t, "coder", firstMessageConfig, func(t *testing.T, x *bubble) {
				c := x.dialSocket(t, "", "/access")
				c.say(message)
				if want == "" {
					c.nextMessage(t)
					c.hangUp()
				} else {
					c.wantClose(t, want)
				}
				logged := socketNames.ReplaceAllString(x.log.Take(), "$1")
				for _, secret := range pieces(v.Text) {
					if strings.Contains(logged, secret) {
						t.Errorf("R6: the log has %.60q:\n%s", secret, logged)
					}
				}
			})
		})
	}
}
