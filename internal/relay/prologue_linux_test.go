package relay

import (
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
)

// refused is a connection that was closed for its header.
type refused struct {
	peer string
	err  error
}

// behindProxy accepts connections that begin with a PROXY header.
func behindProxy(t *testing.T, limiter *connlimit.Limiter, rules proxyproto.Rules) (l net.Listener, clients chan accepted, closed chan refused) {
	t.Helper()
	l = listen(t)
	clients, closed = make(chan accepted, 16), make(chan refused, 16)
	rules.Refused = func(peer net.Addr, err error) { closed <- refused{peer.String(), err} }
	if rules.Trusted == nil {
		rules.Trusted = func(net.Addr) bool { return true }
	}
	stop, ok := newRelay(t, 2).Accept(l, Accept{
		Patience: time.Minute,
		First:    func(conn Client, data []byte, _ bool) { clients <- accepted{conn, string(data)} },
		Failed:   func(err error) { t.Errorf("accept: %v", err) },
		Limiter:  limiter,
		Proxies:  &rules,
	})
	if !ok {
		t.Fatal("no loop accepts")
	}
	t.Cleanup(stop)
	return l, clients, closed
}

const (
	headerV1 = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
	headerV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
	local    = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// TestPrologue: what follows the header is what comes first, however the
// header was cut, and the connection is the client's from then on.
func TestPrologue(t *testing.T) {
	l, clients, closed := behindProxy(t, nil, proxyproto.Rules{Timeout: time.Minute})
	for name, pieces := range map[string][]string{
		"v1 at once":        {headerV1 + "first"},
		"v2 at once":        {headerV2 + "first"},
		"v1 by itself":      {headerV1, "first"},
		"v2 by itself":      {headerV2, "first"},
		"v1 by bytes":       append(strings.Split(headerV1, ""), "first"),
		"v2 by bytes":       append(strings.Split(headerV2, ""), "first"),
		"v1 cut, with more": {headerV1[:20], headerV1[20:] + "first"},
		"v2 cut, with more": {headerV2[:14], headerV2[14:] + "first"},
		"with long values":  {headerV2[:14] + "\x0f\xf0" + headerV2[16:] + "\x04\x0f\xe1" + strings.Repeat("x", 0xfe1), "first"},
	} {
		t.Run(name, func(t *testing.T) {
			far := connect(t, l)
			for _, p := range pieces {
				_, _ = io.WriteString(far, p) // not joined: TCP_NODELAY is the default
			}
			came := receive(t, clients)
			defer came.conn.Close()
			h := came.conn.Header()
			if came.conn.RemoteAddr().String() != "192.0.2.1:56324" || h == nil || h.Peer.String() != far.LocalAddr().String() || h.Destination != netip.MustParseAddrPort("198.51.100.7:443") {
				t.Errorf("from %v, with %+v", came.conn.RemoteAddr(), h)
			}
			came.conn.Unread([]byte(came.data)) // it may have been cut, too
			_, _ = io.WriteString(far, " and second")
			got := make([]byte, len("first and second"))
			if _, err := io.ReadFull(came.conn, got); err != nil || string(got) != "first and second" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
	far := connect(t, l)
	_, _ = io.WriteString(far, local+"first")
	came := receive(t, clients)
	defer came.conn.Close()
	if came.conn.RemoteAddr().String() != far.LocalAddr().String() {
		t.Errorf("the proxy itself is %v", came.conn.RemoteAddr())
	}
	if len(closed) > 0 {
		t.Errorf("refused: %+v", <-closed)
	}
}

// TestPrologueRefused: nobody comes in without a header, and it is told why,
// unless the connection just ends.
func TestPrologueRefused(t *testing.T) {
	l, clients, closed := behindProxy(t, nil, proxyproto.Rules{Timeout: time.Minute})
	for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01", "PROXY TCP4 a b c d\r\n", headerV2[:12] + "\x11", headerV1[1:], "PROXY UNKNOWN " + strings.Repeat("x", 100)} {
		far := connect(t, l)
		_, _ = io.WriteString(far, first)
		peer{far, t, "who says something else"}.isCut()
		if got := receive(t, closed); got.peer != far.LocalAddr().String() || got.err == nil || strings.Contains(got.err.Error(), "xxx") {
			t.Errorf("%q: %+v", first, got)
		}
	}
	for _, first := range []string{"", headerV1[:10]} {
		far := connect(t, l)
		_, _ = io.WriteString(far, first)
		_ = far.(*net.TCPConn).CloseWrite()
		peer{far, t, "who leaves"}.isCut()
	}
	if len(closed) > 0 || len(clients) > 0 {
		t.Errorf("%d refused, %d came in", len(closed), len(clients))
	}
}

// TestPrologueOfStrangers: a peer that is not trusted gets no place, whatever
// it sends.
func TestPrologueOfStrangers(t *testing.T) {
	limiter := connlimit.New(connlimit.Limits{Connections: 1, PerAddress: 1}, nil)
	l, clients, closed := behindProxy(t, limiter, proxyproto.Rules{Timeout: time.Minute, Trusted: func(net.Addr) bool { return false }})
	far := connect(t, l)
	_, _ = io.WriteString(far, headerV1+"first")
	peer{far, t, "a stranger"}.isCut()
	if got := receive(t, closed); !errors.Is(got.err, proxyproto.ErrNotTrusted) || len(clients) > 0 {
		t.Errorf("%+v, and %d came in", got, len(clients))
	}
	if open, _ := limiter.Usage(); open != 0 {
		t.Errorf("%d places are taken", open)
	}
}

// TestPrologueTakesTooLong: a header has its own time, nobody waits for
// another's, and after it the client has a time of its own.
func TestPrologueTakesTooLong(t *testing.T) {
	l, _, closed := behindProxy(t, nil, proxyproto.Rules{Timeout: 300 * time.Millisecond})
	silent, slow := connect(t, l), connect(t, l)
	_, _ = io.WriteString(slow, headerV1[:10])
	for _, far := range []net.Conn{silent, slow} {
		peer{far, t, "who takes too long"}.isCut()
		if got := receive(t, closed); !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("%+v", got)
		}
	}
	l, clients, _ := behindProxy(t, nil, proxyproto.Rules{Timeout: time.Minute})
	for range 20 {
		connect(t, l) // and say nothing
	}
	far := connect(t, l)
	_, _ = io.WriteString(far, headerV1+"first")
	came := receive(t, clients)
	defer came.conn.Close()
	if came.data != "first" {
		t.Errorf("%q", came.data)
	}
}

// TestPrologueAndTunnel: a tunnel begins with the first byte after the header,
// and the client's place counts for the client.
func TestPrologueAndTunnel(t *testing.T) {
	limiter := connlimit.New(connlimit.Limits{Connections: 9, PerAddress: 1}, nil)
	limiter.Exempt(func(a net.Addr) bool { return a.(*net.TCPAddr).IP.IsLoopback() })
	l, clients, _ := behindProxy(t, limiter, proxyproto.Rules{Timeout: time.Minute})
	c := peer{connect(t, l), t, "the client"}
	c.send([]byte(headerV2 + "hello"))
	came := receive(t, clients)
	c.send(fromClient(0x82, 5)) // before the tunnel
	near, far := tcp(t)
	closed := make(chan Result, 1)
	newRelay(t, 2).Carry(Pair{Client: came.conn, Upstream: near, Closed: func(r Result) { closed <- r }})
	u := peer{far, t, "the upstream"}
	u.gets(fromClient(0x82, 5))
	c.send(fromClient(0x82, 7))
	u.gets(fromClient(0x82, 7))

	again := peer{connect(t, l), t, "the same client once more"}
	again.send([]byte(headerV1))
	again.isCut()
	other := peer{connect(t, l), t, "another client"}
	other.send([]byte(strings.Replace(headerV1, "192.0.2.1", "192.0.2.2", 1) + "hello"))
	another := receive(t, clients)
	if another.data != "hello" {
		t.Errorf("%q", another.data)
	}
	_ = another.conn.Close()
	c.hangUp()
	u.hangUp()
	receive(t, closed)
	until(t, "all places are free", func() bool { open, _ := limiter.Usage(); return open == 0 })
}

// TestPatienceBehindPrologue: the time of the client begins after the header.
func TestPatienceBehindPrologue(t *testing.T) {
	l := newRelay(t, 1).loops[0]
	done := make(chan struct{})
	ok := l.order(func() {
		defer close(done)
		conn := eventloop.New(-1, 0, nil, &net.TCPAddr{})
		a := &arrival{loop: l, after: time.Hour, until: time.Since(l.born) + time.Minute, begin: &prologue{conn: conn}}
		a.timed = timed{task: a, index: untimed}
		l.timers.set(&a.timed, a.until)
		defer l.timers.remove(&a.timed)
		if rest, err := a.introduced([]byte(headerV1[:9])); len(rest) > 0 || err != nil || a.timed.due != a.until {
			t.Errorf("%q, %v", rest, err)
		}
		before := time.Since(l.born)
		rest, err := a.introduced([]byte(headerV1[9:] + "first"))
		if string(rest) != "first" || err != nil || a.begin != nil || a.until < before+time.Hour || a.timed.due != a.until {
			t.Errorf("%q, %v; until %v, due %v", rest, err, a.until-before, a.timed.due-before)
		}
	})
	if !ok {
		t.Fatal("the loop has ended")
	}
	receive(t, done)
}
