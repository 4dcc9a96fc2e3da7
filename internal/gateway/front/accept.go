package front

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
	"wsauth/internal/proxyproto"
)

// An acceptor accepts clients on the event loops. It limits their connections
// and reads the PROXY protocol header if connections begin with one.
type acceptor struct {
	loops    *eventloop.Group
	limiter  *connlimit.Limiter // nil for no limits
	proxies  *proxyproto.Rules  // nil without PROXY headers
	patience time.Duration      // how long to wait for the first bytes after the PROXY header

	// received is called with a connection and its first bytes, which it must
	// not keep. idle reports whether the event loop has little else to do.
	// received must not block, because the loop calls it.
	received func(conn *clientConn, data []byte, idle bool)

	// failed is called with the error if no client can be accepted.
	failed func(error)
}

// listen accepts the clients of l until stop is called. It returns false if the
// event loops cannot accept them; see [eventloop.Group.Accept].
func (a *acceptor) listen(l net.Listener) (stop func(), ok bool) {
	return a.loops.Accept(l, eventloop.Acceptor{Accepted: a.handleAccepted, Failed: a.failed})
}

// handleAccepted waits for the first bytes of a connection, or closes it if its
// peer is not trusted or there are too many.
func (a *acceptor) handleAccepted(conn *eventloop.Conn) {
	peer := conn.RemoteAddr()
	if a.proxies != nil && !a.proxies.Trusted(peer) {
		a.proxies.Refused(peer, proxyproto.ErrNotTrusted)
		_ = conn.Close()
		return
	}
	place, ok := a.limiter.Enter(peer)
	if !ok {
		_ = conn.Close()
		return
	}
	c := &clientConn{Conn: conn, Seat: connlimit.NewSeat(place, peer), acceptor: a}
	limit := a.patience
	if a.proxies != nil {
		limit = a.proxies.Within()
		c.preamble = &preamble{until: time.Now().Add(limit)}
	}
	if place != nil {
		conn.Hold(place)
		place.Wait(conn.Shutdown) // the loop then reads the end of the stream
	}
	if !a.loops.Await(conn, nil, eventloop.Wait{Limit: limit, Receiver: c}) {
		_ = conn.Close()
	}
}

// A clientConn is a client's connection that an event loop has accepted.
type clientConn struct {
	*eventloop.Conn
	connlimit.Seat
	acceptor *acceptor
	preamble *preamble // nil after it was read, or if there is none
}

func (c *clientConn) RemoteAddr() net.Addr { return c.Seat.RemoteAddr() }

// Received implements [eventloop.Receiver].
func (c *clientConn) Received(data []byte, idle bool, err error) (more time.Duration) {
	if c.preamble != nil {
		data, more, err = c.readPreamble(data, err)
		if more > 0 {
			return more
		}
	}
	if err != nil || !c.Place().Busy() {
		_ = c.Close()
		return 0
	}
	c.acceptor.received(c, data, idle)
	return 0
}

// A preamble is the state of reading the PROXY protocol header at the
// beginning of a connection.
type preamble struct {
	until time.Time // the deadline for all of it
	got   []byte    // the bytes received so far, if they are incomplete
}

// errTooMany means that a client of a proxy has too many connections.
var errTooMany = errors.New("the client has too many connections")

// readPreamble reads the PROXY header from data, and returns the bytes after
// it, which may share memory with data. A positive more is how long to wait
// for further bytes.
func (c *clientConn) readPreamble(data []byte, err error) (rest []byte, more time.Duration, _ error) {
	rules, p := c.acceptor.proxies, c.preamble
	if err != nil {
		// Health checks of load balancers open connections that end without
		// data, so those are not reported.
		if errors.Is(err, os.ErrDeadlineExceeded) {
			rules.Refused(c.RemoteAddr(), err)
		}
		return nil, 0, err
	}
	if len(p.got) > 0 {
		p.got = append(p.got, data...) // both are bounded
		data = p.got
	}
	h, n, err := proxyproto.Parse(data)
	if errors.Is(err, proxyproto.ErrIncomplete) {
		if len(p.got) == 0 {
			p.got = bytes.Clone(data)
		}
		return nil, max(time.Until(p.until), 1), nil
	}
	if err != nil {
		rules.Refused(c.RemoteAddr(), err)
		return nil, 0, err
	}
	h.Peer = c.RemoteAddr()
	if !c.Introduce(&h) {
		return nil, 0, errTooMany
	}
	c.preamble = nil
	if rest = data[n:]; len(rest) == 0 {
		more = c.acceptor.patience
	}
	return rest, more, nil
}
