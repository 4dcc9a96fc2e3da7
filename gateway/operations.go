package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wsauth"
	"wsauth/internal/connlimit"
	"wsauth/internal/problem"
)

// Paths of the operational endpoints.
const (
	livePath    = "/livez"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

// Operations returns a handler for the operators of the gateway. GET /metrics
// returns metrics in the formats of Prometheus. GET /livez answers 200 while
// the process runs. GET /readyz answers 200 if the gateway can admit clients,
// and 503 if it cannot: while it drains, and while its store cannot be read.
// If only writing to the store fails, the answer is "degraded" with 200:
// otherwise a single client that fills the store would make every node
// unready.
//
// Serve it on a listener that clients cannot reach. The gateway itself also
// answers /livez and /readyz, unless a route has exactly that path.
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

// isHealth reports whether path is that of a health check.
func isHealth(path string) bool { return path == livePath || path == readyPath }

// healthHandler returns a handler that answers health checks.
func (g *Gateway) healthHandler() http.Handler {
	return withSecurityHeaders(newMux([]endpoint{
		{http.MethodGet, livePath, http.HandlerFunc(g.alive)},
		{http.MethodGet, readyPath, http.HandlerFunc(g.ready)},
	}))
}

// Ready returns nil if the gateway can admit clients, and otherwise an
// [*wsauth.Error] that says why it cannot. See [wsauth.Guard.Ready].
func (g *Gateway) Ready() error { return g.guard.Ready() }

func (g *Gateway) alive(w http.ResponseWriter, _ *http.Request) {
	problem.WriteJSON(w, healthAnswer{"alive"})
}

func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	if refusal, ok := errors.AsType[*wsauth.Error](g.Ready()); ok {
		problemHandler(http.StatusServiceUnavailable, string(refusal.Reason), refusal.Message)(w, r)
		return
	}
	if g.guard.Stats().Degraded {
		problem.WriteJSON(w, healthAnswer{"degraded"})
		return
	}
	problem.WriteJSON(w, healthAnswer{"ready"})
}

// A healthAnswer is the body of /livez and /readyz with status 200. Status is
// "alive", "ready", or "degraded", which means that revocations cannot be
// written to the store.
type healthAnswer struct {
	Status string `json:"status"`
}

// health collects the state of the upstreams of each route and of the
// revocation log. It reads them when metrics are requested.
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

func (h health) Describe(to chan<- *prometheus.Desc) {
	to <- h.all
	to <- h.reach
	to <- h.entries
	to <- h.limit
	to <- h.held
}

func (h health) Collect(to chan<- prometheus.Metric) {
	gauge := func(of *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, float64(n), labels...)
	}
	stats := h.gateway.guard.Stats()
	gauge(h.held, stats.Held)
	if stats.Log.Limit > 0 {
		gauge(h.entries, stats.Log.Entries)
		gauge(h.limit, stats.Log.Limit)
	}
	for _, r := range h.gateway.routes.States() {
		healthy := 0
		for _, u := range r.Upstreams {
			if u.Healthy {
				healthy++
			}
		}
		gauge(h.all, len(r.Upstreams), r.Name)
		gauge(h.reach, healthy, r.Name)
	}
}

// connectionMetrics collects the number of connections.
type connectionMetrics struct {
	limiter              *connlimit.Limiter
	open, limit, refused *prometheus.Desc
}

func newConnectionMetrics(l *connlimit.Limiter) connectionMetrics {
	return connectionMetrics{
		limiter: l,
		open:    prometheus.NewDesc("wsauth_connections", "Connections of clients that are open now.", nil, nil),
		limit:   prometheus.NewDesc("wsauth_connections_limit", "How many there may be.", nil, nil),
		refused: prometheus.NewDesc("wsauth_connections_refused_total", "Connections and handshakes that were refused because there were too many.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (c connectionMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- c.open
	to <- c.limit
	to <- c.refused
}

// Collect implements [prometheus.Collector].
func (c connectionMetrics) Collect(to chan<- prometheus.Metric) {
	open, refused := c.limiter.Usage()
	to <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, float64(open))
	to <- prometheus.MustNewConstMetric(c.limit, prometheus.GaugeValue, float64(c.limiter.Limits().Connections))
	to <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(refused))
}
