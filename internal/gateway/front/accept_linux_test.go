package front

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
	"wsauth/internal/proxyproto"
	"wsauth/internal/relay"
)

// A firstBytes holds the arguments of a call of acceptor.received.
type firstBytes struct {
	conn *clientConn
	data string
}

// A refusedConn is a connection that was closed because of its PROXY header.
type refusedConn struct {
	peer string
	err  error
}

// An acceptorRig is an acceptor with a listener.
type acceptorRig struct {
	t       *testing.T
	loops   *eventloop.Group
	addr    string
	clients chan firstBytes
	refused chan refusedConn
}

// acceptClients starts event loops that accept clients until the test ends.
// rules may be nil.
func acceptClients(t *testing.T, limiter *connlimit.Limiter, rules *proxyproto.Rules, patience time.Duration) *acceptorRig {
	t.Helper()
	loops, err := eventloop.New(eventloop.Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loops.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &acceptorRig{t: t, loops: loops, addr: l.Addr().String(), clients: make(chan firstBytes, 16), refused: make(chan refusedConn, 16)}
	a := &acceptor{
		loops:    loops,
		limiter:  limiter,
		patience: patience,
		received: func(conn *clientConn, data []byte, _ bool) { r.clients <- firstBytes{conn, string(data)} },
		failed:   func(err error) { t.Errorf("accept: %v", err) },
	}
	if rules != nil {
		a.proxies = rules
		a.proxies.Refused = func(peer net.Addr, err error) { r.refused <- refusedConn{peer.String(), err} }
		if a.proxies.Trusted == nil {
			a.proxies.Trusted = func(net.Addr) bool { return true }
		}
	}
	stop, ok := a.listen(l)
	if !ok {
		t.Fatal("no loop accepts")
	}
	t.Cleanup(stop)
	return r
}

// connect opens the client's end of a connection.
func (r *acceptorRig) connect() *net.TCPConn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// next returns the next value of c, and fails the test if none comes.
func next[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing received within ten seconds")
	}
	return v
}

// wantRead fails the test unless text comes next on conn.
func (r *acceptorRig) wantRead(conn net.Conn, text string) {
	r.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		r.t.Errorf("read %q, %v; want %q", got[:n], err, text)
	}
}

// wantCut fails the test unless the stream of conn ends or is reset.
func (r *acceptorRig) wantCut(conn net.Conn, whose string) {
	r.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if rest, err := io.ReadAll(conn); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		r.t.Errorf("%s got %q, %v; want the end or a reset", whose, rest, err)
	}
}

// carry carries a tunnel between a client and a new upstream, and returns the
// upstream's end.
func (r *acceptorRig) carry(client net.Conn) (far net.Conn, closed chan relay.Result) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = far.Close() })
	closed = make(chan relay.Result, 1)
	relay.New(r.loops).Carry(relay.Pair{Client: client, Upstream: near, Closed: func(result relay.Result) { closed <- result }})
	return far, closed
}

// clientFrame is a frame as a client sends it.
const clientFrame = "\x82\x83\x00\x00\x00\x00abc"

// TestAcceptor checks that a connection is passed on with its first bytes, and
// that it is closed if the client sends nothing for too long or leaves.
func TestAcceptor(t *testing.T) {
	r := acceptClients(t, nil, nil, 100*time.Millisecond)
	for range 4 { // by both loops
		far := r.connect()
		_, _ = io.WriteString(far, "first")
		came := next(t, r.clients)
		if came.data != "first" || came.conn.RemoteAddr().String() != far.LocalAddr().String() || came.conn.LocalAddr().String() != r.addr {
			t.Errorf("%q from %v at %v", came.data, came.conn.RemoteAddr(), came.conn.LocalAddr())
		}
		came.conn.Unread([]byte("first"))
		_, _ = io.WriteString(far, " and second")
		r.wantRead(came.conn, "first and second")
		_ = came.conn.Close()
		r.wantCut(far, "the client")
	}
	r.wantCut(r.connect(), "a client that sends nothing")
	far := r.connect()
	_ = far.CloseWrite()
	r.wantCut(far, "a client that leaves")
	if len(r.clients) > 0 {
		t.Errorf("got %q", next(t, r.clients).data)
	}
}

// TestAcceptorLimits checks that a client occupies a slot until its tunnel
// ends, and that the connection of another client is closed in the meantime.
func TestAcceptorLimits(t *testing.T) {
	limiter := connlimit.New(connlimit.Limits{Connections: 1, PerAddress: 1}, nil)
	r := acceptClients(t, limiter, nil, time.Minute)
	for range 2 {
		c := r.connect()
		_, _ = io.WriteString(c, "hello")
		far, closed := r.carry(next(t, r.clients).conn)
		_, _ = io.WriteString(c, clientFrame)
		r.wantRead(far, clientFrame)
		if open, _ := limiter.Usage(); open != 1 {
			t.Errorf("a tunnel occupies %d slots", open)
		}
		r.wantCut(r.connect(), "one too many")
		_, _ = c.Close(), far.Close()
		next(t, closed)
		if open, _ := limiter.Usage(); open != 0 {
			t.Errorf("%d slots are occupied after the tunnel", open)
		}
	}
}

// TestAcceptorEvicts checks that another client evicts a silent one, but not
// one that has sent something.
func TestAcceptorEvicts(t *testing.T) {
	limiter := connlimit.New(connlimit.Limits{Connections: 2, PerAddress: 2, Excess: 1}, nil)
	r := acceptClients(t, limiter, nil, time.Minute)
	busy := r.connect()
	_, _ = io.WriteString(busy, "busy")
	came := next(t, r.clients)
	defer came.conn.Close()
	silent := r.connect()
	for limitAt := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if open, _ := limiter.Usage(); open == 2 {
			break
		}
		if time.Now().After(limitAt) {
			t.Fatal("the second client is not accepted")
		}
	}
	another := r.connect()
	r.wantCut(silent, "a client that sends nothing")
	_, _ = io.WriteString(another, "another")
	last := next(t, r.clients)
	defer last.conn.Close()
	if last.data != "another" || last.conn.Place().Excess() {
		t.Errorf("got %q, in excess: %v", last.data, last.conn.Place().Excess())
	}
	_, _ = io.WriteString(busy, " still")
	r.wantRead(came.conn, " still")
}

const (
	preambleV1    = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
	preambleV2    = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
	preambleLocal = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// TestPreamble checks that the first bytes are those after the PROXY header,
// however it is split, and that the connection is then charged to the client.
func TestPreamble(t *testing.T) {
	r := acceptClients(t, nil, &proxyproto.Rules{Timeout: time.Minute}, time.Minute)
	for name, pieces := range map[string][]string{
		"v1 at once":          {preambleV1 + "first"},
		"v2 at once":          {preambleV2 + "first"},
		"v1 by itself":        {preambleV1, "first"},
		"v2 by itself":        {preambleV2, "first"},
		"v1 by bytes":         append(strings.Split(preambleV1, ""), "first"),
		"v2 by bytes":         append(strings.Split(preambleV2, ""), "first"),
		"v1 split, with more": {preambleV1[:20], preambleV1[20:] + "first"},
		"v2 split, with more": {preambleV2[:14], preambleV2[14:] + "first"},
		"with long values":    {preambleV2[:14] + "\x0f\xf0" + preambleV2[16:] + "\x04\x0f\xe1" + strings.Repeat("x", 0xfe1), "first"},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			far := r.connect()
			for _, p := range pieces {
				_, _ = io.WriteString(far, p) // sent separately: TCP_NODELAY is the default
			}
			came := next(t, r.clients)
			defer came.conn.Close()
			h := came.conn.Header()
			if came.conn.RemoteAddr().String() != "192.0.2.1:56324" || h == nil || h.Peer.String() != far.LocalAddr().String() || h.Destination != netip.MustParseAddrPort("198.51.100.7:443") {
				t.Errorf("from %v, with %+v", came.conn.RemoteAddr(), h)
			}
			came.conn.Unread([]byte(came.data)) // the rest may follow later
			_, _ = io.WriteString(far, " and second")
			r.wantRead(came.conn, "first and second")
		})
	}
	r.t = t
	far := r.connect()
	_, _ = io.WriteString(far, preambleLocal+"first")
	came := next(t, r.clients)
	defer came.conn.Close()
	if came.conn.RemoteAddr().String() != far.LocalAddr().String() {
		t.Errorf("the proxy itself is %v", came.conn.RemoteAddr())
	}
	if len(r.refused) > 0 {
		t.Errorf("refused: %+v", <-r.refused)
	}
}

// TestPreambleRefused checks that a connection without a header is closed, and
// that the reason is reported unless the connection just ends.
func TestPreambleRefused(t *testing.T) {
	r := acceptClients(t, nil, &proxyproto.Rules{Timeout: time.Minute}, time.Minute)
	for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "PROXY TCP4 a b c d\r\n", preambleV2[:12] + "\x11", preambleV1[1:], "PROXY UNKNOWN " + strings.Repeat("x", 100)} {
		far := r.connect()
		_, _ = io.WriteString(far, first)
		r.wantCut(far, "a client that sends something else")
		if got := next(t, r.refused); got.peer != far.LocalAddr().String() || got.err == nil || strings.Contains(got.err.Error(), "xxx") {
			t.Errorf("%q: got %+v", first, got)
		}
	}
	for _, first := range []string{"", preambleV1[:10]} {
		far := r.connect()
		_, _ = io.WriteString(far, first)
		_ = far.CloseWrite()
		r.wantCut(far, "a client that leaves")
	}
	if len(r.refused) > 0 || len(r.clients) > 0 {
		t.Errorf("%d refused, %d accepted", len(r.refused), len(r.clients))
	}
}

// TestPreambleOfUntrustedPeers checks that an untrusted peer is refused,
// whatever it sends.
func TestPreambleOfUntrustedPeers(t *testing.T) {
	limiter := connlimit.New(connlimit.Limits{Connections: 1, PerAddress: 1}, nil)
	r := acceptClients(t, limiter, &proxyproto.Rules{Timeout: time.Minute, Trusted: func(net.Addr) bool { return false }}, time.Minute)
	far := r.connect()
	_, _ = io.WriteString(far, preambleV1+"first")
	r.wantCut(far, "a stranger")
	if got := next(t, r.refused); !errors.Is(got.err, proxyproto.ErrNotTrusted) || len(r.clients) > 0 {
		t.Errorf("%+v, and %d accepted", got, len(r.clients))
	}
	if open, _ := limiter.Usage(); open != 0 {
		t.Errorf("%d slots are occupied", open)
	}
}

// TestPreambleTakesTooLong checks that a header has its own time limit, and
// does not delay other connections.
func TestPreambleTakesTooLong(t *testing.T) {
	r := acceptClients(t, nil, &proxyproto.Rules{Timeout: 300 * time.Millisecond}, time.Minute)
	silent, slow := r.connect(), r.connect()
	_, _ = io.WriteString(slow, preambleV1[:10])
	for _, far := range []net.Conn{silent, slow} {
		r.wantCut(far, "a client that takes too long")
		if got := next(t, r.refused); !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("got %+v", got)
		}
	}
	r = acceptClients(t, nil, &proxyproto.Rules{Timeout: time.Minute}, time.Minute)
	for range 20 {
		r.connect() // clients that send nothing
	}
	far := r.connect()
	_, _ = io.WriteString(far, preambleV1+"first")
	came := next(t, r.clients)
	defer came.conn.Close()
	if came.data != "first" {
		t.Errorf("got %q, want %q", came.data, "first")
	}
}

// TestPreambleAndTunnel checks that a tunnel starts with the first byte after
// the header, and that the connection is charged to the client.
func TestPreambleAndTunnel(t *testing.T) {
	limiter := connlimit.New(connlimit.Limits{Connections: 9, PerAddress: 1}, nil)
	limiter.Exempt(func(a net.Addr) bool { return a.(*net.TCPAddr).IP.IsLoopback() })
	r := acceptClients(t, limiter, &proxyproto.Rules{Timeout: time.Minute}, time.Minute)
	c := r.connect()
	_, _ = io.WriteString(c, preambleV2+"hello")
	came := next(t, r.clients)
	_, _ = io.WriteString(c, clientFrame) // before the tunnel
	u, closed := r.carry(came.conn)
	r.wantRead(u, clientFrame)
	_, _ = io.WriteString(c, clientFrame)
	r.wantRead(u, clientFrame)

	again := r.connect()
	_, _ = io.WriteString(again, preambleV1)
	r.wantCut(again, "the same client once more")
	other := r.connect()
	_, _ = io.WriteString(other, strings.Replace(preambleV1, "192.0.2.1", "192.0.2.2", 1)+"hello")
	another := next(t, r.clients)
	if another.data != "hello" {
		t.Errorf("got %q, want %q", another.data, "hello")
	}
	_ = another.conn.Close()
	_, _ = c.Close(), u.Close()
	next(t, closed)
	for limitAt := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		open, _ := limiter.Usage()
		if open == 0 {
			break
		}
		if time.Now().After(limitAt) {
			t.Fatalf("%d slots are occupied", open)
		}
	}
}

// TestPreambleTime checks that the time limit of the header does not restart
// with each of its bytes, and that the limit of the client starts after the
// header.
func TestPreambleTime(t *testing.T) {
	a := &acceptor{patience: time.Hour, proxies: &proxyproto.Rules{}}
	until := time.Now().Add(time.Minute)
	c := &clientConn{Seat: connlimit.NewSeat(nil, &net.TCPAddr{}), acceptor: a, preamble: &preamble{until: until}}
	for i := range 9 {
		if more := c.Received([]byte(preambleV1[i:i+1]), true, nil); more <= 0 || more > time.Until(until)+time.Second {
			t.Errorf("byte %d: %v for more", i, more)
		}
	}
	c.preamble.until = time.Now().Add(-time.Minute)
	if more := c.Received([]byte(preambleV1[9:10]), true, nil); more != 1 {
		t.Errorf("%v for more when the time is over", more)
	}
	if more := c.Received([]byte(preambleV1[10:]), true, nil); more != time.Hour || c.preamble != nil {
		t.Errorf("%v for the client", more)
	}
	c.preamble = &preamble{until: until, got: bytes.Clone([]byte(preambleV1[:9]))}
	var got string
	a.received = func(_ *clientConn, data []byte, idle bool) { got = string(data) }
	if more := c.Received([]byte(preambleV1[9:]+"first"), true, nil); more != 0 || got != "first" {
		t.Errorf("%v for more, first bytes %q", more, got)
	}
}
