package gateway

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

// acceptor accepts clients by event loops. It limits their connections, and
// reads the header of the PROXY protocol if each connection begins with one.
type acceptor struct {
	loops    *eventloop.Group
	limiter  *connlimit.Limiter // nil limits nothing
	proxies  *proxyproto.Rules  // nil if there is no header
	patience time.Duration      // how long a client may send nothing, after the header

	// first takes a connection with the first bytes that have come, which it
	// must not keep. A loop calls it, so it must not block.
	first func(conn *clientConn, data []byte, idle bool)

	// failed takes the error for which no client can be accepted for the
	// moment.
	failed func(error)
}

// listen accepts the clients of l until stop is called; see
// [eventloop.Group.Accept].
func (a *acceptor) listen(l net.Listener) (stop func(), ok bool) {
	return a.loops.Accept(l, eventloop.Acceptor{Accepted: a.accepted, Failed: a.failed})
}

// accepted waits for the first bytes of a connection, if it may be open.
func (a *acceptor) accepted(conn *eventloop.Conn) {
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
		place.Wait(conn.Shutdown) // the loop then finds the end of the stream
	}
	if !a.loops.Await(conn, nil, eventloop.Wait{Limit: limit, To: c}) {
		_ = conn.Close()
	}
}

// A clientConn is the connection of a client that a loop has accepted.
type clientConn struct {
	*eventloop.Conn
	connlimit.Seat
	acceptor *acceptor
	preamble *preamble // nil once it was read, or if there is none
}

// RemoteAddr returns the address of the client.
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
	c.acceptor.first(c, data, idle)
	return 0
}

// A preamble is the header of the PROXY protocol at the beginning of a
// connection.
type preamble struct {
	until time.Time // when it must be complete
	got   []byte    // of one that did not come at once
}

// errTooMany means that the client of a proxy may have no more connections.
var errTooMany = errors.New("the client has too many connections")

// readPreamble reads the header from data, and returns what follows it, which
// may be data's own bytes. more is positive if that has not come yet.
func (c *clientConn) readPreamble(data []byte, err error) (rest []byte, more time.Duration, _ error) {
	rules, p := c.acceptor.proxies, c.preamble
	if err != nil {
		// A connection that just ends may be a balancer's health check.
		if errors.Is(err, os.ErrDeadlineExceeded) {
			rules.Refused(c.RemoteAddr(), err)
		}
		return nil, 0, err
	}
	if len(p.got) > 0 {
		p.got = append(p.got, data...) // both have a limit
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
