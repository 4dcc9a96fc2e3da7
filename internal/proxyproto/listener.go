package proxyproto

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A Conn is a connection that can be attributed to another client.
type Conn interface {
	net.Conn

	// Introduce attributes the connection to h.Client. It is called before all
	// other methods. It returns false if that client may not have more
	// connections.
	Introduce(h *Header) bool

	// Header returns the argument of Introduce, or nil if that was not called.
	Header() *Header
}

// Of returns the header of a connection, or nil.
func Of(conn net.Conn) *Header {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	if c, ok := conn.(interface{ Header() *Header }); ok {
		return c.Header()
	}
	return nil
}

// ErrNotTrusted means that the peer is not trusted to send a header.
var ErrNotTrusted = errors.New("the peer is not a trusted proxy")

// Rules determine whose headers are accepted.
type Rules struct {
	Trusted func(peer net.Addr) bool
	// Called before a connection is closed; must not block.
	Refused func(peer net.Addr, err error)
	Timeout time.Duration // 0: the constant Timeout
}

// Within returns the time limit for a header.
func (r *Rules) Within() time.Duration { return cmp.Or(r.Timeout, Timeout) }

// Listen returns a listener that accepts the connections of l after their
// header has been read. All connections of l must be [Conn]s. A connection is
// closed if its peer is not trusted or its header is not received in time. A
// connection does not wait for the headers of others.
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

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close stops accepting connections.
func (l *listener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// run accepts connections until the listener is closed.
func (l *listener) run() {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !l.deliver(accepted{nil, err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if !l.rules.Trusted(conn.RemoteAddr()) {
			l.rules.Refused(conn.RemoteAddr(), ErrNotTrusted)
			_ = conn.Close()
			continue
		}
		go l.introduce(conn.(Conn)) //nolint:forcetypeassert // Listen requires it
	}
}

// deliver passes a connection or an error to Accept.
func (l *listener) deliver(a accepted) bool {
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
	// If this fails, so does Read.
	_ = conn.SetReadDeadline(time.Now().Add(l.rules.Within()))
	h, err := Read(conn)
	if err != nil {
		// A connection that is closed immediately may be the health check of a
		// load balancer.
		if errors.Is(err, errMalformed) || errors.Is(err, os.ErrDeadlineExceeded) {
			l.rules.Refused(peer, err)
		}
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	h.Peer = peer
	if !conn.Introduce(&h) || !l.deliver(accepted{conn, nil}) {
		_ = conn.Close()
	}
}
