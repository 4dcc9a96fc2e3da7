package connlimit

import (
	"net"
	"net/netip"

	"wsauth/internal/ratelimit"
)

// A Place is the permission of one connection to be open. A nil Place has no
// limits.
type Place struct {
	limiter *Limiter
	network *network

	// Guarded by limiter.mu:
	state        state
	socket       bool
	lent         bool      // counted for the client of a proxy; see Begin
	evict        func()    // nil unless the connection waits for a request
	limiterLinks [2]*Place // previous and next in the line of the limiter
	networkLinks [2]*Place // previous and next in the line of the network
}

// A state is the state of a place.
type state uint8

const (
	counted  state = iota // counts towards the limits
	inExcess              // beyond the limits
	leaving               // evicted, but still open
	released
)

// count adds by to the counters that include the place. l.mu must be held.
func (p *Place) count(by int) {
	l, n := p.limiter, p.network
	switch p.state {
	case counted:
		l.places += by
		n.places += by
		if p.socket {
			l.sockets += by
			n.sockets += by
		}
	case inExcess, leaving:
		l.excess += by
	case released:
	}
}

// move changes the state. l.mu must be held.
func (p *Place) move(to state) {
	p.count(-1)
	p.state = to
	p.count(1)
	p.limiter.forget(p.network)
}

// evicted evicts the connection and returns the function that closes it. l.mu
// must be held.
func (p *Place) evicted() (evict func()) {
	evict = p.evict
	p.busy()
	p.move(leaving)
	return evict
}

// busy removes the place from the lines. l.mu must be held.
func (p *Place) busy() {
	if p.evict == nil {
		return
	}
	p.evict = nil
	p.limiter.waiting.remove(p, inAll)
	p.network.waiting.remove(p, inNetwork)
}

// Wait records that the connection waits for a request, so it may be evicted to
// make room. An eviction calls evict once to close the connection. evict must
// not block.
func (p *Place) Wait(evict func()) {
	if p == nil {
		return
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.busy()
	if p.state == counted {
		p.evict = evict
		p.limiter.waiting.push(p, inAll)
		p.network.waiting.push(p, inNetwork)
	}
}

// Busy undoes Wait after a request has arrived. It returns false if the
// connection has been evicted.
func (p *Place) Busy() bool {
	if p == nil {
		return true
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.busy()
	return p.state != leaving
}

// Excess reports whether the connection should only get an error response,
// because there are too many.
func (p *Place) Excess() bool {
	if p == nil {
		return false
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	return p.state == inExcess
}

// Move counts the connection for the client that a PROXY header named as its
// source, even if the address is exempt. If source is invalid, the connection
// is the proxy's own and nothing changes. Move returns false if the connection
// was evicted or the client may not have more connections. The caller must then
// close the connection.
func (p *Place) Move(source netip.AddrPort) bool {
	if p == nil {
		return true
	}
	l := p.limiter
	l.mu.Lock()
	n, after := p.network, func() {}
	if source.IsValid() {
		n = l.networkAt(ratelimit.NetworkOfAddr(source.Addr()))
	}
	ok := p.state != leaving
	switch {
	case n == p.network, p.state != counted:
	case !l.isFull(n):
		p.countFor(n)
	case n.waiting.first != nil && l.excess < l.limits.Excess:
		after = n.waiting.first.evicted()
		p.countFor(n)
	default:
		ok, after = false, l.refuse(ByAddress)
	}
	l.forget(n)
	l.mu.Unlock()
	after()
	return ok
}

// countFor makes the place count for another network. l.mu must be held.
func (p *Place) countFor(n *network) {
	before, waits := p.network, p.evict != nil
	if waits {
		before.waiting.remove(p, inNetwork)
	}
	p.count(-1)
	p.network = n
	p.count(1)
	if waits {
		n.waiting.push(p, inNetwork)
	}
	p.limiter.forget(before)
	if n != p.limiter.shared {
		p.limiter.networks[n.prefix] = n // an eviction may have removed it
	}
}

// Begin counts the connection of a proxy for the network of a client whose
// request it carries, until End. It returns false, and does nothing, if that
// network has reached its limit. If client is the zero Prefix or the peer is
// not a proxy, it counts nothing and returns true.
func (p *Place) Begin(client netip.Prefix) bool {
	if p == nil || !client.IsValid() {
		return true
	}
	l := p.limiter
	l.mu.Lock()
	if p.network != l.shared {
		l.mu.Unlock()
		return true
	}
	n := l.networkAt(client)
	if l.isFull(n) {
		report := l.refuse(ByAddress)
		l.mu.Unlock()
		report()
		return false
	}
	p.lent = true
	p.countFor(n)
	l.mu.Unlock()
	return true
}

// End undoes Begin. It also undoes an Upgrade that did not result in a socket.
func (p *Place) End() {
	if p == nil {
		return
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	if p.socket {
		p.count(-1)
		p.socket = false
		p.count(1)
	}
	if p.lent {
		p.lent = false
		p.countFor(p.limiter.shared)
	}
}

// Upgrade counts the connection as a socket, which also needs a connection to
// an upstream. It returns false if a limit is reached. client is the argument
// of Begin; the socket is counted for its network until the socket ends. If no
// socket results, call End.
func (p *Place) Upgrade(client netip.Prefix) bool {
	if p == nil {
		return true
	}
	l := p.limiter
	l.mu.Lock()
	n := p.network
	if n == l.shared && client.IsValid() {
		n = l.networkAt(client)
	}
	limit := ""
	switch {
	case p.socket:
	case p.state != counted, l.sockets >= ofSockets(l.limits.Connections):
		limit = ByConnections
	case n != l.shared && n.sockets >= ofSockets(l.limits.PerAddress), n != p.network && l.isFull(n):
		limit = ByAddress
	case l.upstreams+l.sockets >= l.limits.Upstreams:
		limit = ByUpstreams
	default:
		if n != p.network {
			p.lent = true
			p.countFor(n)
		}
		p.count(-1)
		p.socket = true
		p.count(1)
	}
	l.forget(n)
	report := func() {}
	if limit != "" {
		report = l.refuse(limit)
	}
	l.mu.Unlock()
	report()
	return limit == ""
}

// Release releases the place of a closed connection. Further calls have no
// effect.
func (p *Place) Release() {
	if p == nil {
		return
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.busy()
	p.move(released)
}

// Of returns the place of a connection, or nil.
func Of(conn net.Conn) *Place {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	if placed, ok := conn.(interface{ Place() *Place }); ok {
		return placed.Place()
	}
	return nil
}

// A line is a queue of waiting places, in the order in which they began to
// wait.
type line struct{ first, last *Place }

// The lines that contain a place.
const (
	inAll = iota
	inNetwork
)

func (p *Place) linksIn(which int) *[2]*Place {
	if which == inAll {
		return &p.limiterLinks
	}
	return &p.networkLinks
}

func (q *line) push(p *Place, which int) {
	*p.linksIn(which) = [2]*Place{q.last, nil}
	if q.last == nil {
		q.first = p
	} else {
		q.last.linksIn(which)[1] = p
	}
	q.last = p
}

func (q *line) remove(p *Place, which int) {
	before, after := p.linksIn(which)[0], p.linksIn(which)[1]
	*p.linksIn(which) = [2]*Place{}
	if before == nil {
		q.first = after
	} else {
		before.linksIn(which)[1] = after
	}
	if after == nil {
		q.last = before
	} else {
		after.linksIn(which)[0] = before
	}
}
