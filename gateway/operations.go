package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wsauth"
	"wsauth/internal/problem"
)

// The addresses at which a gateway says how it is.
const (
	livePath    = "/livez"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

// Operations is a handler for those who run the gateway: GET /metrics has its
// figures in the formats of Prometheus, GET /livez answers 200 as long as the
// process does, and GET /readyz answers 200 when the gateway can let clients
// in, and 503 when it cannot: while it drains, and while its store cannot be
// read. A store that cannot be written makes the answer "degraded", with 200:
// otherwise one client that fills the store would take every node out.
//
// It is for a listener that clients do not reach. The gateway itself answers the last two as well, except where a route has that very
// path.
func (g *Gateway) Operations() http.Handler {
	collected := promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{
		ErrorLog:            newServerLog(g.log),
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
	return withSecurityHeaders(newMux([]endpoint{
		{http.MethodGet, livePath, http.HandlerFunc(g.alive)},
		{http.MethodGet, readyPath, http.HandlerFunc(g.ready)},
		{http.MethodGet, metricsPath, collected},
	}))
}

// isHealth reports whether a path asks how the gateway is.
func isHealth(path string) bool { return path == livePath || path == readyPath }

// withHealth answers who asks how the gateway is, unless a route has that path.
func (g *Gateway) withHealth(next http.Handler) http.Handler {
	health := withSecurityHeaders(newMux([]endpoint{
		{http.MethodGet, livePath, http.HandlerFunc(g.alive)},
		{http.MethodGet, readyPath, http.HandlerFunc(g.ready)},
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isHealth(r.URL.Path) && !g.routing.Load().names(r) {
			health.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// names reports whether a route has the very path of r.
func (of *routing) names(r *http.Request) bool {
	if of == nil {
		return false
	}
	p := of.router.find(r)
	return p != nil && p.route.Path == r.URL.Path
}

// Ready says why the gateway cannot let clients in now, as an [*wsauth.Error]; nil where it can. See [wsauth.Guard.Ready].
func (g *Gateway) Ready() error { return g.guard.Ready() }

func (g *Gateway) alive(w http.ResponseWriter, _ *http.Request) {
	problem.WriteJSON(w, healthAnswer{"alive"})
}

func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	if refusal, ok := errors.AsType[*wsauth.Error](g.Ready()); ok {
		problemHandler(http.StatusServiceUnavailable, string(refusal.Reason), refusal.Message)(w, r)
		return
	}
	if g.guard.RevocationLog().Degraded() {
		problem.WriteJSON(w, healthAnswer{"degraded"})
		return
	}
	problem.WriteJSON(w, healthAnswer{"ready"})
}

// A healthAnswer is what /livez and /readyz say with 200: alive, ready, or
// degraded, while what is revoked cannot be written.
type healthAnswer struct {
	Status string `json:"status"`
}

// health are the upstreams of each route and the log of revocations, asked
// when somebody wants to know.
type health struct {
	gateway              *Gateway
	all, reach           *prometheus.Desc
	entries, limit, held *prometheus.Desc
}

func newHealth(g *Gateway) health {
	return health{
		gateway: g,
		all:     prometheus.NewDesc("wsauth_upstreams", "Upstreams of a route.", []string{"route"}, nil),
		reach:   prometheus.NewDesc("wsauth_upstreams_well", "Those of them that are not passed over because they failed.", []string{"route"}, nil),
		entries: prometheus.NewDesc("wsauth_revocation_log_entries", "Revocations in the store that still matter.", nil, nil),
		limit:   prometheus.NewDesc("wsauth_revocation_log_limit", "How many the store may hold.", nil, nil),
		held:    prometheus.NewDesc("wsauth_revocations_held", "Revocations that hold on this node only, since the store did not take them.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (h health) Describe(to chan<- *prometheus.Desc) {
	to <- h.all
	to <- h.reach
	to <- h.entries
	to <- h.limit
	to <- h.held
}

// Collect implements prometheus.Collector.
func (h health) Collect(to chan<- prometheus.Metric) {
	gauge := func(of *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, float64(n), labels...)
	}
	log := h.gateway.guard.RevocationLog()
	gauge(h.held, log.Held)
	if log.Limit > 0 {
		gauge(h.entries, log.Entries)
		gauge(h.limit, log.Limit)
	}
	now := h.gateway.routing.Load()
	if now == nil {
		return
	}
	for name, p := range now.byName {
		well, all := p.pool.Healthy()
		gauge(h.all, all, name)
		gauge(h.reach, well, name)
	}
}
