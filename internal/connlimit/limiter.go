package connlimit

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"wsauth/internal/ratelimit"
)

// tellEvery is how often it is told at most that connections were refused.
const tellEvery = 10 * time.Second

// The limits by which a connection is refused, as their settings are called.
const (
	ByConnections = "max_connections"
	ByAddress     = "max_connections_per_address"
	ByUpstreams   = "file descriptors"
)

// A Limiter counts the connections of a server. All methods are safe for
// concurrent use. A nil Limiter limits nothing.
type Limiter struct {
	limits Limits
	tell   func(limit string, n int)
	exempt func(net.Addr) bool // may be nil
	shared *network            // of those that are exempt

	mu        sync.Mutex
	networks  map[netip.Prefix]*network
	places    int
	sockets   int // of places
	upstreams int // without those of sockets
	excess    int // beside places: let in to be told, or evicted and not closed yet
	waiting   line
	refused   int       // since told
	told      time.Time // for the last time
	total     uint64    // refused
}

// A network is the clients of one address.
type network struct {
	prefix  netip.Prefix
	places  int
	sockets int
	streams int // requests that share connections with others
	waiting line
}

// New makes a limiter. tell may be nil. It is called with the limit that was
// reached, and with how many connections and sockets were refused since the
// last call. Calls are at least ten seconds apart. It must not block.
func New(l Limits, tell func(limit string, n int)) *Limiter {
	return &Limiter{limits: l, tell: tell, shared: &network{}, networks: make(map[netip.Prefix]*network)}
}

// Exempt has the limit of one address not hold for the connections of some
// peers, such as proxies, whose clients have many addresses. It is called
// before any connection comes.
func (l *Limiter) Exempt(isExempt func(net.Addr) bool) { l.exempt = isExempt }

// Limits returns the limits.
func (l *Limiter) Limits() Limits { return l.limits }

// Usage returns how many connections of clients are open, and how many
// connections and sockets were refused.
func (l *Limiter) Usage() (open int, refused uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.places + l.excess, l.total
}

// Enter returns the place of a connection that was accepted; nil on a nil
// Limiter. When a limit is reached, it takes the place of the connection that
// has waited longest for a request. If there is none, the new connection is in
// excess and is only to be told so. ok is false if there are too many even for
// that: the caller closes it.
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
	hasRoom := l.excess < l.limits.Excess // for one that is to be closed soon
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
	tell := func() {}
	if p.state != counted {
		tell = l.refuse(limit)
	}
	l.mu.Unlock()

	if evict != nil {
		evict()
	}
	tell()
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

// isFull reports whether a network has as many connections as one may have.
// l.mu must be held.
func (l *Limiter) isFull(n *network) bool { return n != l.shared && n.places >= l.limits.PerAddress }

// BeginStream counts a request of a client on a connection that carries
// several requests at once, until EndStream. It reports false, and counts
// nothing, if the client has as many as it may have connections: each may need
// one to an upstream. It does nothing if client is the zero Prefix.
func (l *Limiter) BeginStream(client netip.Prefix) bool {
	if l == nil || !client.IsValid() {
		return true
	}
	l.mu.Lock()
	n, tell := l.networkAt(client), func() {}
	ok := n.streams < l.limits.PerAddress
	if ok {
		n.streams++
	} else {
		tell = l.refuse(ByAddress)
	}
	l.mu.Unlock()
	tell()
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

// forget removes a network without connections. One that is in excess may
// know a network that another has replaced. l.mu must be held.
func (l *Limiter) forget(n *network) {
	if n.places == 0 && n.streams == 0 && l.networks[n.prefix] == n {
		delete(l.networks, n.prefix)
	}
}

// refuse counts a refusal, and returns the call that tells of it. l.mu must be
// held, but not for that call.
func (l *Limiter) refuse(limit string) (tell func()) {
	l.refused++
	l.total++
	now := time.Now()
	if l.tell == nil || !l.told.IsZero() && now.Sub(l.told) < tellEvery {
		return func() {}
	}
	n := l.refused
	l.refused, l.told = 0, now
	return func() { l.tell(limit, n) }
}

// ReserveUpstream counts a connection to an upstream that is no socket's. It
// reports false, and counts nothing, if there may be no more.
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
