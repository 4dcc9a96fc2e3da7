package wsauth_test

import (
	"bufio"
	"context"
	"encoding/binary"
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
	"wsauth/token"
)

// patience is how long a test waits for what must happen soon.
const patience = 20 * time.Second

// A fixedVerifier takes every token for one that lives as long as it says.
type fixedVerifier time.Duration

func (v fixedVerifier) Verify(context.Context, string) (*token.Claims, error) {
	return &token.Claims{Subject: "ada", Type: token.TypeAccess, ExpiresAt: time.Now().Add(time.Duration(v))}, nil
}

// A rig is a guarded handler on a real socket, watched from both ends.
type rig struct {
	server  *httptest.Server
	guard   *wsauth.Guard
	conns   chan *watchedConn
	conn    *watchedConn // the server's end, once a client has dialled
	session chan *wsauth.Socket
	done    chan struct{} // closed when the handler has returned
	ended   chan error    // the cause of the handler's context
}

func newRig(t *testing.T, handler http.Handler, ttl time.Duration) *rig {
	t.Helper()
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(ttl)})
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{
		guard:   guard,
		conns:   make(chan *watchedConn, 1),
		session: make(chan *wsauth.Socket, 1),
		done:    make(chan struct{}),
		ended:   make(chan error, 1),
	}
	g.server = httptest.NewUnstartedServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(g.done)
		socket := wsauth.SocketFrom(r.Context())
		g.session <- socket
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

// shutdown may be called twice.
func (g *rig) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.guard.Shutdown(ctx); err != nil {
		panic(fmt.Sprintf("Shutdown: %v", err)) // the test may have ended
	}
}

// dial opens a socket, by hand: the test must see every byte.
func (g *rig) dial(t *testing.T, compress bool) *rawClient {
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
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer x\r\n%s\r\n",
		g.server.Listener.Addr(), extensions)
	c := &rawClient{conn: conn, r: bufio.NewReader(conn)}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(c.r, nil)
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

// A rawClient reads a server's frames.
type rawClient struct {
	conn   net.Conn
	r      *bufio.Reader
	frames int
}

// readToClose reads frames up to the close frame. It is an error if anything
// is not a well-formed frame.
func (c *rawClient) readToClose() (code int, reason string, err error) {
	for {
		opcode, body, err := c.readFrame()
		if err != nil {
			return 0, "", err
		}
		if opcode != 8 {
			continue
		}
		if len(body) < 2 {
			return 0, "", fmt.Errorf("close frame of %d bytes", len(body))
		}
		return int(binary.BigEndian.Uint16(body)), string(body[2:]), nil
	}
}

func (c *rawClient) readFrame() (opcode byte, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.r, head[:2]); err != nil {
		return 0, nil, err
	}
	opcode = head[0] & 0x0F
	size := uint64(head[1] & 0x7F)
	if head[1]&0x80 != 0 || opcode > 2 && opcode < 8 || opcode > 10 || head[0]&0x30 != 0 {
		return 0, nil, fmt.Errorf("% x is no head of a server's frame", head[:2])
	}
	switch size {
	case 126:
		_, err = io.ReadFull(c.r, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(c.r, head[:8])
		size = binary.BigEndian.Uint64(head[:])
	}
	if err == nil && size > 2*uint64(len(payload)) {
		err = fmt.Errorf("a frame of %d bytes", size)
	}
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, size)
	_, err = io.ReadFull(c.r, body)
	c.frames++
	return opcode, body, err
}

// answerAndDrain answers the close frame; nothing may come any more but the
// end of the stream.
func (c *rawClient) answerAndDrain() error {
	if _, err := c.conn.Write([]byte{0x88, 0x80, 1, 2, 3, 4}); err != nil {
		return err
	}
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes after the close frame", len(rest))
	}
	return err
}

// A watchedListener makes watchedConns.
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

// A watchedConn tells when the peer has stopped to take what it is sent.
type watchedConn struct {
	*net.TCPConn
	writes, written atomic.Int64 // begun and done

	once   sync.Once
	ending chan struct{} // closed when somebody gives writes a deadline
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

// ReadFrom hides the one of TCPConn, which would write past Write.
func (c *watchedConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// waitUntilFull waits until one write has been going on for a while: the
// kernel's buffers are full, which it does not tell in any other way.
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
