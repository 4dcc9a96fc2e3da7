package front

import (
	"net"
	"net/http"
	"net/netip"

	"wsauth/internal/connlimit"
	"wsauth/internal/forwarded"
	"wsauth/internal/ratelimit"
)

// newLimiter returns the limiter of connections from clients and to upstreams.
// Connections from a peer for which isProxy returns true are not limited per
// address.
func newLimiter(c Config, isProxy func(net.Addr) bool) *connlimit.Limiter {
	l := connlimit.Within(connlimit.Descriptors(), c.MaxConnections, c.MaxConnectionsPerAddress)
	if c.MaxConnections > l.Connections {
		c.Logger.Warn("max_connections is more than the limit of file descriptors (RLIMIT_NOFILE) allows",
			"max_connections", c.MaxConnections, "used", l.Connections, "descriptors", l.Descriptors)
	}
	limiter := connlimit.New(l, func(limit string, n int) {
		c.Logger.Warn("too many connections; some were refused", "limit", limit, "refused", n,
			"max_connections", l.Connections, "max_connections_per_address", l.PerAddress, "descriptors", l.Descriptors)
	})
	limiter.Exempt(isProxy)
	return limiter
}

// Limiter returns the limiter of connections, which also counts those to
// upstreams.
func (s *Server) Limiter() *connlimit.Limiter { return s.limiter }

// Connections returns the number of open connections of clients, their limit,
// and how many were refused.
func (s *Server) Connections() (open, limit int, refused uint64) {
	open, refused = s.limiter.Usage()
	return open, s.limiter.Limits().Connections, refused
}

// An Admission is the capacity reserved for one request, until End.
type Admission struct {
	// OK reports whether the request may be served. If it may not, Close
	// reports whether its connection must be closed after the refusal.
	OK, Close bool

	limiter *connlimit.Limiter
	place   *connlimit.Place
	upgrade bool
	stream  bool         // the request shares its connection with others
	network netip.Prefix // to which a stream is charged
}

// Admit reserves capacity for a request of the connection at place. It refuses
// the request if there are too many connections, or too many sockets for
// another upgrade.
func (s *Server) Admit(r *http.Request, place *connlimit.Place, upgrade bool) Admission {
	a := Admission{limiter: s.limiter, place: place, upgrade: upgrade}
	switch {
	case place.Excess():
	case r.ProtoMajor > 1:
		a.stream, a.network = true, networkOfStream(r)
		a.OK = s.limiter.BeginStream(a.network)
	case upgrade:
		a.OK = place.Upgrade(networkBehindProxy(r))
	default:
		a.OK = place.Begin(networkBehindProxy(r))
	}
	a.Close = !a.OK && !a.stream
	return a
}

// End releases the capacity after the request was served. hijacked reports
// whether its connection was hijacked: a socket keeps its capacity until it is
// closed.
func (a *Admission) End(hijacked bool) {
	switch {
	case !a.OK:
	case a.stream:
		a.limiter.EndStream(a.network)
	case !a.upgrade || !hijacked: // the next request may be another client's
		a.place.End()
	}
}

// networkBehindProxy returns the network of a proxy's client, to which the
// proxy's connection is charged while it carries r. It returns the zero Prefix
// if there is no proxy, or if the connection carries several requests at once.
func networkBehindProxy(r *http.Request) netip.Prefix {
	if c := forwarded.From(r.Context()); c != nil && c.Addr != c.Peer && r.ProtoMajor == 1 {
		return ratelimit.PrefixOf(c.Addr)
	}
	return netip.Prefix{}
}

// networkOfStream returns the network to which r is charged if it shares its
// connection with other requests. It returns the zero Prefix if the proxy sent
// r for itself.
func networkOfStream(r *http.Request) netip.Prefix {
	if c := forwarded.From(r.Context()); c != nil && c.Addr == c.Peer {
		return netip.Prefix{}
	}
	return ratelimit.PrefixOf(r.RemoteAddr)
}
