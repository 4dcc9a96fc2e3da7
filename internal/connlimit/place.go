package connlimit

import (
	"net"
	"net/netip"

	"wsauth/internal/ratelimit"
)

// A Place is the right of one connection to be open. A nil Place has no limit.
type Place struct {
	limiter *Limiter
	network *network

	// Below is guarded by limiter.mu.
	state  state
	socket bool
	lent   bool      // by a proxy to a client; see Begin and Upgrade
	evict  func()    // nil unless it waits
	links  [2]*Place // the previous and the next that wait, in all
	near   [2]*Place // and in its network
}

// The state of a place.
type state uint8

const (
	counted  state = iota // it is one of those that are limited
	inExcess              // it is beside them
	leaving               // it was evicted: likewise, until it is closed
	released
)

// count adds by to what the place counts for. The lock must be held.
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

// move changes the state. The lock must be held.
func (p *Place) move(to state) {
	p.count(-1)
	p.state = to
	p.count(1)
	p.limiter.forget(p.network)
}

// evicted takes its place from a connection that waits, and returns what
// closes that. The lock must be held.
func (p *Place) evicted() (evict func()) {
	evict = p.evict
	p.busy()
	p.move(leaving)
	return evict
}

// busy takes the place out of the lines. The lock must be held.
func (p *Place) busy() {
	if p.evict == nil {
		return
	}
	p.evict = nil
	p.limiter.waiting.remove(p, inAll)
	p.network.waiting.remove(p, inNetwork)
}

// Wait records that the connection waits for a request, so that another may
// have its place. evict then closes it, and is called once at most; it must
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

// Busy undoes Wait: a request has come. It reports whether the connection has
// not been evicted.
func (p *Place) Busy() bool {
	if p == nil {
		return true
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.busy()
	return p.state != leaving
}

// Excess reports whether the client is only to be told that there are too
// many connections.
func (p *Place) Excess() bool {
	if p == nil {
		return false
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	return p.state == inExcess
}

// Move counts the connection for the client that a proxy has named as its
// source, even if the address is one that is exempt. An invalid source changes
// nothing: the proxy speaks for itself. Move reports false if the client may
// have no more connections: the caller closes it.
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
		p.belong(n)
	case n.waiting.first != nil && l.excess < l.limits.Excess:
		after = n.waiting.first.evicted()
		p.belong(n)
	default:
		ok, after = false, l.refuse(ByAddress)
	}
	l.forget(n)
	l.mu.Unlock()
	after()
	return ok
}

// belong has the place count for another network. The lock must be held.
func (p *Place) belong(n *network) {
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
		p.limiter.networks[n.prefix] = n // an eviction may have made it empty
	}
}

// Begin counts the connection of a proxy for the network of a client, whose
// request it carries, until End. It reports false, and does nothing, if that
// network may have no more connections. It does nothing if client is the zero
// Prefix, or the connection is not that of a proxy.
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
		tell := l.refuse(ByAddress)
		l.mu.Unlock()
		tell()
		return false
	}
	p.lent = true
	p.belong(n)
	l.mu.Unlock()
	return true
}

// End undoes Begin, or an Upgrade after which the connection did not become a
// socket and can carry other requests.
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
		p.belong(p.limiter.shared)
	}
}

// Upgrade makes the connection a socket, for which there is one to an upstream
// as well. It reports false if there may be no more of them. client is that of
// Begin; a socket counts for it until it ends. End undoes it if there is no
// socket after all.
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
			p.belong(n)
		}
		p.count(-1)
		p.socket = true
		p.count(1)
	}
	l.forget(n)
	tell := func() {}
	if limit != "" {
		tell = l.refuse(limit)
	}
	l.mu.Unlock()
	tell()
	return limit == ""
}

// Release gives the place back. The connection is closed. Further calls do
// nothing.
func (p *Place) Release() {
	if p == nil {
		return
	}
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.busy()
	p.move(released)
}

// Of returns the place of a connection; nil if it has none.
func Of(conn net.Conn) *Place {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	if placed, ok := conn.(interface{ Place() *Place }); ok {
		return placed.Place()
	}
	return nil
}

// A line is the places that wait, in the order in which they began to.
type line struct{ first, last *Place }

// The lines that a place is in.
const (
	inAll = iota
	inNetwork
)

func (p *Place) in(which int) *[2]*Place {
	if which == inAll {
		return &p.links
	}
	return &p.near
}

func (q *line) push(p *Place, which int) {
	*p.in(which) = [2]*Place{q.last, nil}
	if q.last == nil {
		q.first = p
	} else {
		q.last.in(which)[1] = p
	}
	q.last = p
}

func (q *line) remove(p *Place, which int) {
	before, after := p.in(which)[0], p.in(which)[1]
	*p.in(which) = [2]*Place{}
	if before == nil {
		q.first = after
	} else {
		before.in(which)[1] = after
	}
	if after == nil {
		q.last = before
	} else {
		after.in(which)[0] = before
	}
}
