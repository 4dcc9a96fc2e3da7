package proxyproto

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A Conn is a connection that can have the address of another client.
type Conn interface {
	net.Conn

	// Introduce has the connection be that of h.Client from now on. It is
	// called before anything else. It reports false if the client may have no
	// more connections.
	Introduce(h *Header) bool

	// Header returns what Introduce was called with; nil without a call.
	Header() *Header
}

// Of returns the header of a connection; nil if it has none.
func Of(conn net.Conn) *Header {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	if c, ok := conn.(interface{ Header() *Header }); ok {
		return c.Header()
	}
	return nil
}

// ErrNotTrusted means that a peer may not send a header.
var ErrNotTrusted = errors.New("the peer is not a trusted proxy")

// Rules say whose headers count.
type Rules struct {
	Trusted func(peer net.Addr) bool
	Refused func(peer net.Addr, err error) // before a connection is closed; it must not block
	Timeout time.Duration                  // of a header, for tests; 0: Timeout
}

// Within returns how long a header may take.
func (r *Rules) Within() time.Duration { return cmp.Or(r.Timeout, Timeout) }

// Listen returns a listener for the connections of l, which are all [Conn],
// once their header was read. Connections of peers that are not trusted, or
// whose header does not come in time, are closed. Nobody waits for another's
// header.
func Listen(l net.Listener, r Rules) net.Listener {
	of := &listener{Listener: l, rules: r, accepted: make(chan accepted), closed: make(chan struct{})}
	go of.run()
	return of
}

type listener struct {
	net.Listener
	rules    Rules
	accepted chan accepted
	closing  sync.Once
	closed   chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close accepts no more.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// run accepts connections until the listener is closed.
func (l *listener) run() {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !l.pass(accepted{nil, err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if !l.rules.Trusted(conn.RemoteAddr()) {
			l.rules.Refused(conn.RemoteAddr(), ErrNotTrusted)
			_ = conn.Close()
			continue
		}
		go l.introduce(conn.(Conn)) //nolint:forcetypeassert // says Listen
	}
}

// pass hands a connection, or an error, to who accepts.
func (l *listener) pass(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closed:
		return false
	}
}

// introduce reads the header of a connection.
func (l *listener) introduce(conn Conn) {
	peer := conn.RemoteAddr()
	_ = conn.SetReadDeadline(time.Now().Add(l.rules.Within())) // a failure is one of Read as well
	h, err := Read(conn)
	if err != nil {
		// One that closes at once may be a balancer that looks whether somebody
		// listens.
		if errors.Is(err, errMalformed) || errors.Is(err, os.ErrDeadlineExceeded) {
			l.rules.Refused(peer, err)
		}
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	h.Peer = peer
	if !conn.Introduce(&h) || !l.pass(accepted{conn, nil}) {
		_ = conn.Close()
	}
}
