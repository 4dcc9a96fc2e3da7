package wsauth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// patience is how long a test waits for something that must happen soon.
const patience = 20 * time.Second

// A fixedVerifier accepts every token, with this lifetime.
type fixedVerifier time.Duration

func (v fixedVerifier) Verify(context.Context, string) (*token.Claims, error) {
	return &token.Claims{Subject: "ada", Type: token.TypeAccess, ExpiresAt: time.Now().Add(time.Duration(v))}, nil
}

// A rig is a guarded handler on a real connection, observed from both ends.
type rig struct {
	server *httptest.Server
	guard  *wsauth.Guard
	conns  chan *watchedConn
	conn   *watchedConn // the server's end, once a client has connected
	socket chan *wsauth.Socket
	done   chan struct{} // closed when the handler has returned
	ended  chan error    // the cause of the handler's context
}

func newRig(t *testing.T, handler http.Handler, ttl time.Duration) *rig {
	t.Helper()
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(ttl)})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{
		guard:  guard,
		conns:  make(chan *watchedConn, 1),
		socket: make(chan *wsauth.Socket, 1),
		done:   make(chan struct{}),
		ended:  make(chan error, 1),
	}
	g.server = httptest.NewUnstartedServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(g.done)
		socket := wsauth.SocketFrom(r.Context())
		g.socket <- socket
		context.AfterFunc(r.Context(), func() { g.ended <- context.Cause(r.Context()) })
		handler.ServeHTTP(w, r)
	})))
	g.server.Listener = &watchedListener{g.server.Listener, g.conns}
	g.server.Start()
	t.Cleanup(func() {
		g.shutdown()
		g.server.Close()
	})
	return g
}

// shutdown shuts the guard down. It may be called twice.
func (g *rig) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.guard.Shutdown(ctx); err != nil {
		panic(fmt.Sprintf("Shutdown: %v", err)) // the test may have ended
	}
}

// dial opens a socket without a library, since the test must see every byte.
func (g *rig) dial(t *testing.T, compress bool) *wstest.Client {
	t.Helper()
	conn, err := net.Dial("tcp", g.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	g.conn = <-g.conns
	extensions := ""
	if compress {
		extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\n"+wstest.UpgradeFields+"Authorization: Bearer x\r\n%s\r\n",
		g.server.Listener.Addr(), extensions)
	c := &wstest.Client{Conn: conn, In: bufio.NewReader(conn)}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(c.In, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %s", response.Status)
	}
	if compress && response.Header.Get("Sec-WebSocket-Extensions") == "" {
		t.Fatal("the library did not agree to compress")
	}
	return c
}

// waitForHandler returns the cause of the handler's context after the handler
// has returned.
func (g *rig) waitForHandler(t *testing.T) error {
	t.Helper()
	timeout := time.After(patience)
	select {
	case <-g.done:
	case <-timeout:
		t.Fatal("the handler did not return")
	}
	select {
	case cause := <-g.ended:
		return cause
	case <-timeout:
		t.Fatal("the handler's context did not end")
	}
	return nil
}

// A watchedListener accepts connections as watchedConns.
type watchedListener struct {
	net.Listener
	conns chan *watchedConn
}

func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	watched := &watchedConn{TCPConn: conn.(*net.TCPConn), ending: make(chan struct{})}
	l.conns <- watched
	return watched, nil
}

// A watchedConn reports when its peer has stopped reading.
type watchedConn struct {
	*net.TCPConn
	writes, written atomic.Int64 // started and completed

	once   sync.Once
	ending chan struct{} // closed when a write deadline is set
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	defer c.written.Add(1)
	return c.TCPConn.Write(p)
}

func (c *watchedConn) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		c.once.Do(func() { close(c.ending) })
	}
	return c.TCPConn.SetWriteDeadline(t)
}

// ReadFrom hides the ReadFrom of TCPConn, which would bypass Write.
func (c *watchedConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// waitUntilFull waits until the kernel's buffers are full. The only sign of
// that is a write that takes a while.
func (c *watchedConn) waitUntilFull(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	last := int64(-1)
	for {
		select {
		case <-tick.C:
			begun := c.writes.Load()
			if begun == last && c.written.Load() < begun {
				return
			}
			last = begun
		case <-timeout:
			t.Fatal("the handler's writes never blocked")
		}
	}
}
