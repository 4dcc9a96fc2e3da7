package connlimit

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"wsauth/internal/ratelimit"
)

// reportEvery is the minimum interval between reports of refused connections.
const reportEvery = 10 * time.Second

// The limits that refuse connections, with the names of their settings.
const (
	ByConnections = "max_connections"
	ByAddress     = "max_connections_per_address"
	ByUpstreams   = "file descriptors"
)

// A Limiter counts the connections of a server. It is safe for concurrent use.
// A nil Limiter has no limits.
type Limiter struct {
	limits Limits
	report func(limit string, n int)
	exempt func(net.Addr) bool // may be nil
	shared *network            // for exempt peers

	mu        sync.Mutex
	networks  map[netip.Prefix]*network
	places    int
	sockets   int // included in places
	upstreams int // without those of sockets
	// Connections in excess of the limit: those that only get an error response,
	// and evicted ones that are still open.
	excess     int
	waiting    line
	refused    int       // since the last report
	reportedAt time.Time // time of the last report
	total      uint64    // total number of refusals
}

// A network counts the connections of the clients at one address.
type network struct {
	prefix  netip.Prefix
	places  int
	sockets int
	streams int // requests on connections shared by several clients
	waiting line
}

// New returns a limiter. report may be nil. It is called with the limit that
// was reached and the number of connections and sockets refused since the last
// call, at most every ten seconds. It must not block.
func New(l Limits, report func(limit string, n int)) *Limiter {
	return &Limiter{limits: l, report: report, shared: &network{}, networks: make(map[netip.Prefix]*network)}
}

// Exempt exempts some peers from the limit per address, such as proxies, whose
// clients have many addresses. Call it before the first connection.
func (l *Limiter) Exempt(isExempt func(net.Addr) bool) { l.exempt = isExempt }

// Limits returns the limits.
func (l *Limiter) Limits() Limits { return l.limits }

// Usage returns the number of open client connections, and the total number of
// refused connections and sockets.
func (l *Limiter) Usage() (open int, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.places + l.excess, l.total
}

// Enter returns a place for an accepted connection, or nil if l is nil. If a
// limit is reached, it evicts the connection that has waited longest for a
// request. If there is none, the new connection is in excess and should only
// get an error response. ok is false if too many connections are already in
// excess. The caller must then close the new one.
func (l *Limiter) Enter(remote net.Addr) (p *Place, ok bool) {
	if l == nil {
		return nil, true
	}
	l.mu.Lock()
	n := l.networkOf(remote)
	p = &Place{limiter: l, network: n}
	limit, waiting := "", &l.waiting
	switch {
	case l.isFull(n):
		limit, waiting = ByAddress, &n.waiting
	case l.places >= l.limits.Connections:
		limit = ByConnections
	}
	// hasRoom reports whether one more connection may exceed the limit for a short
	// time, until it or an evicted one is closed.
	hasRoom := l.excess < l.limits.Excess
	ok = limit == "" || hasRoom
	switch {
	case !ok:
		p.state = released
	case limit != "" && waiting.first == nil:
		p.state = inExcess
	}
	p.count(1)
	var evict func()
	if ok && limit != "" && p.state == counted {
		evict = waiting.first.evicted()
	}
	l.forget(n)
	report := func() {}
	if p.state != counted {
		report = l.refuse(limit)
	}
	l.mu.Unlock()

	if evict != nil {
		evict()
	}
	report()
	return p, ok
}

// networkOf returns the network of a client. l.mu must be held.
func (l *Limiter) networkOf(remote net.Addr) *network {
	if l.exempt != nil && l.exempt(remote) {
		return l.shared
	}
	return l.networkAt(ratelimit.NetworkOf(remote))
}

// networkAt returns the network of a prefix. l.mu must be held.
func (l *Limiter) networkAt(prefix netip.Prefix) *network {
	n := l.networks[prefix]
	if n == nil {
		n = &network{prefix: prefix}
		l.networks[prefix] = n
	}
	return n
}

// isFull reports whether a network has reached the limit per address. l.mu
// must be held.
func (l *Limiter) isFull(n *network) bool { return n != l.shared && n.places >= l.limits.PerAddress }

// BeginStream counts a request, until EndStream, on a connection that carries
// several requests at once. It returns false, and counts nothing, if the client
// has reached the limit per address: each request may need its own connection
// to an upstream. If client is the zero Prefix, it counts nothing and returns
// true.
func (l *Limiter) BeginStream(client netip.Prefix) bool {
	if l == nil || !client.IsValid() {
		return true
	}
	l.mu.Lock()
	n, report := l.networkAt(client), func() {}
	ok := n.streams < l.limits.PerAddress
	if ok {
		n.streams++
	} else {
		report = l.refuse(ByAddress)
	}
	l.mu.Unlock()
	report()
	return ok
}

// EndStream undoes BeginStream.
func (l *Limiter) EndStream(client netip.Prefix) {
	if l == nil || !client.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.networkAt(client)
	n.streams--
	l.forget(n)
}

// forget removes a network that has no connections, unless another with the
// same prefix has already replaced it. l.mu must be held.
func (l *Limiter) forget(n *network) {
	if n.places == 0 && n.streams == 0 && l.networks[n.prefix] == n {
		delete(l.networks, n.prefix)
	}
}

// refuse counts a refusal and returns a function that reports it. l.mu must be
// held, but not when that function is called.
func (l *Limiter) refuse(limit string) (report func()) {
	l.refused++
	l.total++
	now := time.Now()
	if l.report == nil || !l.reportedAt.IsZero() && now.Sub(l.reportedAt) < reportEvery {
		return func() {}
	}
	n := l.refused
	l.refused, l.reportedAt = 0, now
	return func() { l.report(limit, n) }
}

// ReserveUpstream counts a connection to an upstream that does not belong to a
// socket. It returns false, and counts nothing, if the limit is reached.
func (l *Limiter) ReserveUpstream() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.upstreams+l.sockets >= l.limits.Upstreams {
		return false
	}
	l.upstreams++
	return true
}

// ReleaseUpstream undoes ReserveUpstream.
func (l *Limiter) ReleaseUpstream() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.upstreams--
}
