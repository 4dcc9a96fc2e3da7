package gateway

import (
	"context"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"wsauth"
	"wsauth/internal/connlimit"
	"wsauth/internal/proxyproto"
	"wsauth/internal/wsconn"
)

// limitConnections creates the limiter for connections of clients and to
// upstreams.
func (g *Gateway) limitConnections(c Config) {
	l := connlimit.Within(connlimit.Descriptors(), c.MaxConnections, c.MaxConnectionsPerAddress)
	if c.MaxConnections > l.Connections {
		g.log.Warn("max_connections is more than the limit of file descriptors (RLIMIT_NOFILE) has room for",
			"max_connections", c.MaxConnections, "used", l.Connections, "descriptors", l.Descriptors)
	}
	g.clients = newClients(c)
	g.connections = connlimit.New(l, func(limit string, n int) {
		g.log.Warn("too many connections; some were refused", "limit", limit, "refused", n,
			"max_connections", l.Connections, "max_connections_per_address", l.PerAddress, "descriptors", l.Descriptors)
	})
	g.connections.Exempt(g.clients.policy.Trusted.ContainsAddr)
}

// bounded refuses requests on connections beyond the limit, and handshakes if
// no more sockets are allowed.
func (g *Gateway) bounded(next http.Handler) http.Handler {
	refusal := &wsauth.Error{Reason: wsauth.Overloaded, Message: wsauth.Overloaded.Outcome().Text}
	answer := problemHandler(refusal.Reason.Outcome().Status, string(refusal.Reason), refusal.Message)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := recordOf(r.Context())
		client := networkBehindProxy(r)
		over := true // whether the connection closes after a refusal
		switch {
		case x.place.Excess():
		case r.ProtoMajor > 1:
			stream := networkOfStream(r)
			if g.connections.BeginStream(stream) {
				defer g.connections.EndStream(stream)
				next.ServeHTTP(w, r)
				return
			}
			over = false // the connection may carry other requests
		case x.upgrade && x.place.Upgrade(client):
			next.ServeHTTP(w, r)
			if !x.taken { // the connection may carry a request of another client next
				x.place.End()
			}
			return
		case !x.upgrade && x.place.Begin(client):
			defer x.place.End()
			next.ServeHTTP(w, r)
			return
		}
		x.refused(refusal)
		if over {
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("Retry-After", "1")
		answer(w, r)
	})
}

// reserveUpstream reserves a connection to an upstream. If none is left, it
// first closes those that are idle.
func (g *Gateway) reserveUpstream() bool {
	if g.connections.ReserveUpstream() {
		return true
	}
	if now := g.routing.Load(); now != nil {
		for _, p := range now.byName {
			p.pool.CloseIdle()
		}
	}
	return g.connections.ReserveUpstream()
}

type placeKey struct{}

// withPlace stores the place of a connection in its context. It is an
// [http.Server.ConnContext].
func withPlace(ctx context.Context, conn net.Conn) context.Context {
	if h := proxyproto.Of(conn); h != nil {
		ctx = context.WithValue(ctx, proxyHeaderKey{}, h)
	}
	return context.WithValue(ctx, placeKey{}, connlimit.Of(conn))
}

// placeOf returns the place of a request's connection, or nil if it has none.
func placeOf(w http.ResponseWriter, r *http.Request) *connlimit.Place {
	if direct, ok := wsconn.AsDirect(w); ok {
		if a, ok := direct.(*answer); ok {
			return connlimit.Of(a.conn)
		}
	}
	place, _ := r.Context().Value(placeKey{}).(*connlimit.Place)
	return place
}

// connectionFigures is a collector of the number of connections.
type connectionFigures struct {
	limiter              *connlimit.Limiter
	open, limit, refused *prometheus.Desc
}

func newConnectionFigures(l *connlimit.Limiter) connectionFigures {
	return connectionFigures{
		limiter: l,
		open:    prometheus.NewDesc("wsauth_connections", "Connections of clients that are open now.", nil, nil),
		limit:   prometheus.NewDesc("wsauth_connections_limit", "How many there may be.", nil, nil),
		refused: prometheus.NewDesc("wsauth_connections_refused_total", "Connections and handshakes that were refused because there were too many.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (f connectionFigures) Describe(to chan<- *prometheus.Desc) {
	to <- f.open
	to <- f.limit
	to <- f.refused
}

// Collect implements [prometheus.Collector].
func (f connectionFigures) Collect(to chan<- prometheus.Metric) {
	open, refused := f.limiter.Usage()
	to <- prometheus.MustNewConstMetric(f.open, prometheus.GaugeValue, float64(open))
	to <- prometheus.MustNewConstMetric(f.limit, prometheus.GaugeValue, float64(f.limiter.Limits().Connections))
	to <- prometheus.MustNewConstMetric(f.refused, prometheus.CounterValue, float64(refused))
}
