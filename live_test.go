package wsauth_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// A live target serves in a bubble of synctest, where time passes when nothing
// else does. Its sockets are net.Pipes.
type live struct {
	*target
	pipes    *pipes
	sessions chan *wsauth.Socket // of the last socket
	each     func(*http.Request) // what the handler does first; nil: nothing
}

// inBubble runs f against a guard that is made in a bubble. Config lacks what
// belongs to the bubble.
func inBubble(t *testing.T, c func() wsauth.Config, f func(t *testing.T, x *live)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &live{target: &target{log: new(lockedBuffer)}, pipes: newPipes(), sessions: make(chan *wsauth.Socket, 1)}
		config := c()
		if config.Verifier == nil {
			config.Verifier = newVerifier(t, 0)
		}
		config.Logger = slog.New(slog.NewTextHandler(x.log, nil))
		guard, err := wsauth.New(config)
		if err != nil {
			t.Fatal(err)
		}
		x.guard = guard
		mux := http.NewServeMux()
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if x.each != nil {
				x.each(r)
			}
			if s := wsauth.SocketFrom(r.Context()); s != nil && r.Header.Get("Upgrade") != "" {
				x.sessions <- s
			}
			x.handle(w, r)
		})
		for _, q := range requirements {
			mux.Handle("/"+q.String(), guard.Require(q)(handler))
		}
		mux.Handle("/path/{token}", guard.Require(wsauth.Access)(handler))
		server := &http.Server{Handler: mux}
		go server.Serve(x.pipes) //nolint:errcheck // It ends with Shutdown.
		defer func() {
			if err := errors.Join(guard.Shutdown(context.Background()), server.Shutdown(context.Background())); err != nil {
				t.Error(err)
			}
		}()
		f(t, x)
	})
}

// withLog is a configuration with a log of revocations in memory.
func withLog() wsauth.Config { return wsauth.Config{Revocations: store.NewMemory(0)} }

// A client is one end of a socket that reads all the time.
type client struct {
	session *wsauth.Socket
	opened  time.Time
	done    chan struct{} // closed when the socket is
	code    int
	reason  string
	ended   time.Time
}

// ask sends a request on a connection of its own.
func (x *live) ask(t *testing.T, raw string) *answer {
	t.Helper()
	a := ask(t, x.pipes.dial(), raw)
	_ = a.conn.SetDeadline(time.Time{})
	return a
}

// open opens a socket, which must be let in.
func (x *live) open(t *testing.T, path string, lines ...string) *client {
	t.Helper()
	a := x.ask(t, upgrade(path, lines...))
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101: %s", a.StatusCode, a.body)
	}
	c := &client{opened: time.Now(), done: make(chan struct{}), session: <-x.sessions}
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

// with opens a socket of the route for access tokens.
func (x *live) with(t *testing.T, made *token.Token) *client {
	t.Helper()
	return x.open(t, "/access", bearer(made.Raw))
}

// isOpen reports whether the socket is, once everything has settled.
func (c *client) isOpen() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// wantEnd checks that the socket has ended, for a reason.
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

func (c *client) wantOpen(t *testing.T) {
	t.Helper()
	if !c.isOpen() {
		t.Errorf("the socket was closed with %d %q", c.code, c.reason)
	}
}

// login makes an access token of a session.
func login(t *testing.T, subject, sid string, o token.Options) *token.Token {
	t.Helper()
	o.SessionID = sid
	return issue(t, token.TypeAccess, subject, o)
}
