package attack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A bubble is a target in a synctest bubble, where time passes only while all
// goroutines block. It connects clients by pipes.
type bubble struct {
	*target
	pipes      *wstest.Pipes
	serverEnds chan *wsauth.Socket // receives each new socket; open reads it
	onRequest  func(*http.Request) // unless nil, the handler calls it first
	messages   chan string         // messages that the application got: "alice: hello"
}

// newBubble serves a guard with the handler that handle returns. If the
// configuration has no Verifier, it sets one that trusts the keyring. stop
// shuts the guard and the server down, without a time limit.
func newBubble(t *testing.T, config wsauth.Config, handle func(*bubble) http.HandlerFunc) (x *bubble, stop func()) {
	t.Helper()
	x = &bubble{
		target: &target{log: new(wstest.Log)}, pipes: wstest.NewPipes(),
		serverEnds: make(chan *wsauth.Socket, 1), messages: make(chan string, 100),
	}
	if config.Verifier == nil {
		config.Verifier = newVerifier(t, 0)
	}
	config.Logger = slog.New(slog.NewTextHandler(x.log, nil))
	guard, err := wsauth.New(config)
	if err != nil {
		t.Fatal(err)
	}
	x.guard = guard
	server := &http.Server{Handler: guarded(guard, handle(x)), ErrorLog: log.New(x.log, "", 0)}
	go server.Serve(x.pipes) //nolint:errcheck // It ends with Shutdown.
	return x, func() {
		if err := errors.Join(guard.Shutdown(context.Background()), server.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
	}
}

// inBubble runs f with a target whose handler reads until its socket ends. It
// calls config within the bubble.
func inBubble(t *testing.T, config func() wsauth.Config, f func(t *testing.T, x *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x, stop := newBubble(t, config(), func(x *bubble) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if x.onRequest != nil {
					x.onRequest(r)
				}
				if s := wsauth.SocketFrom(r.Context()); s != nil && r.Header.Get("Upgrade") != "" {
					x.serverEnds <- s
				}
				x.handle(w, r)
			}
		})
		defer stop()
		f(t, x)
	})
}

// withLog returns a configuration with a log of revocations in memory.
func withLog() wsauth.Config { return wsauth.Config{Revocations: memory.New(store.Limits{})} }

// ask sends a request on a new connection and reads the answer. from is the
// address of the client, and may be empty. Afterwards, the connection has no
// deadline.
func (x *bubble) ask(t *testing.T, from, raw string) *answer {
	t.Helper()
	a := ask(t, x.pipes.Dial(from), raw)
	_ = a.conn.SetDeadline(time.Time{})
	return a
}

// A client is the client's end of a socket that reads in the background.
type client struct {
	serverEnd *wsauth.Socket
	opened    time.Time
	done      chan struct{} // closed with the socket
	code      int
	reason    string
	ended     time.Time
}

// open opens a socket. It fails the test if the handshake is refused.
func (x *bubble) open(t *testing.T, path string, lines ...string) *client {
	t.Helper()
	a := x.ask(t, "", upgrade(path, lines...))
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101: %s", a.StatusCode, a.body)
	}
	c := &client{opened: time.Now(), done: make(chan struct{}), serverEnd: <-x.serverEnds}
	go func() {
		defer close(c.done)
		rest, err := io.ReadAll(a.in)
		c.ended = time.Now()
		a.conn.Close()
		if err != nil || len(rest) < 4 || rest[0] != 0x88 || int(rest[1]) != len(rest)-2 {
			c.reason = fmt.Sprintf("% x, %v", rest, err)
			return
		}
		c.code, c.reason = int(binary.BigEndian.Uint16(rest[2:])), string(rest[4:])
	}()
	return c
}

// openWith opens a socket with an access token.
func (x *bubble) openWith(t *testing.T, made *token.Token) *client {
	t.Helper()
	return x.open(t, "/access", bearer(made.Raw))
}

// isOpen waits until everything in the bubble has settled, and reports whether
// the socket is still open.
func (c *client) isOpen() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// wantEnd checks that the socket has ended with a reason.
func (c *client) wantEnd(t *testing.T, reason wsauth.Reason) {
	t.Helper()
	if c.isOpen() {
		t.Errorf("the socket is open, want it closed with %s", reason)
		return
	}
	if want := reason.Outcome().Code; c.code != want || c.reason != string(reason) {
		t.Errorf("closed with %d %q, want %d %q", c.code, c.reason, want, reason)
	}
}

// wantOpen checks that the socket is still open.
func (c *client) wantOpen(t *testing.T) {
	t.Helper()
	if !c.isOpen() {
		t.Errorf("the socket was closed with %d %q", c.code, c.reason)
	}
}

// A peer is the client's end of a socket. The test itself reads and writes.
type peer struct {
	*wstest.Client
	opened time.Time
	taken  atomic.Int64 // bytes sent after the handshake that the server has read
}

// dialSocket opens a socket from an address. It fails the test if the handshake
// is refused.
func (x *bubble) dialSocket(t *testing.T, from, path string) *peer {
	t.Helper()
	return socketOf(t, x.ask(t, from, upgrade(path, fromOurs)))
}

// socketOf returns the socket that an answer has opened.
func socketOf(t *testing.T, a *answer) *peer {
	t.Helper()
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101: %s", a.StatusCode, a.body)
	}
	return &peer{Client: &wstest.Client{Conn: a.conn, In: a.in}, opened: time.Now()}
}

// send writes raw bytes in the background, and counts those that the server
// reads.
func (c *peer) send(raw []byte) {
	go func() {
		n, _ := c.Conn.Write(raw)
		c.taken.Add(int64(n))
	}()
}

// say sends a text message in the background.
func (c *peer) say(message string) { c.send(wstest.Frame(0x81, message)) }

// nextMessage returns the next message of the server.
func (c *peer) nextMessage(t *testing.T) string {
	t.Helper()
	opcode, body, err := c.ReadFrame()
	if err != nil || opcode != 1 {
		t.Fatalf("got a frame %d, % x, %v; want a text message", opcode, body, err)
	}
	return string(body)
}

// readClose reads up to the close frame and hangs up.
func (c *peer) readClose(t *testing.T) (code int, reason string) {
	t.Helper()
	code, reason, err := c.ReadClose()
	if err != nil {
		t.Errorf("no close frame: %v", err)
	}
	c.hangUp()
	return code, reason
}

// wantClose checks that the server closes the socket with a reason.
func (c *peer) wantClose(t *testing.T, want wsauth.Reason) {
	t.Helper()
	if code, reason := c.readClose(t); code != want.Outcome().Code || reason != string(want) {
		t.Errorf("closed with %d %q, want %d %q", code, reason, want.Outcome().Code, want)
	}
}

// hangUp closes the connection and waits until the server has noticed.
func (c *peer) hangUp() {
	c.Conn.Close()
	synctest.Wait()
}

// login makes an access token of a session.
func login(t *testing.T, subject, sid string, o token.Options) *token.Token {
	t.Helper()
	o.SessionID = sid
	return issue(t, token.TypeAccess, subject, o)
}

// inAnHour returns the expiry that the tests give their revocations.
func inAnHour() time.Time { return time.Now().Add(time.Hour) }
