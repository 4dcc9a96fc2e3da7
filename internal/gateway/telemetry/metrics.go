package telemetry

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"wsauth/internal/relay"
	"wsauth/store"
)

// metrics holds the metrics of a gateway. The values of all labels come from
// the configuration, from fixed tables, or from a small set of numbers, so
// that clients cannot create new series.
type metrics struct {
	registry *prometheus.Registry

	mu     sync.RWMutex // locked while a route is removed
	routes map[string]*Route

	requests         *prometheus.CounterVec
	requestDurations *prometheus.HistogramVec

	handshakes         *prometheus.CounterVec
	handshakeDurations *prometheus.HistogramVec
	sockets            *prometheus.GaugeVec
	socketsEnded       *prometheus.CounterVec
	socketLifetimes    *prometheus.HistogramVec
	socketBytes        *prometheus.CounterVec
	socketMessages     *prometheus.CounterVec

	longRequests      *prometheus.GaugeVec
	longRequestsEnded *prometheus.CounterVec

	upstreamLatencies *prometheus.HistogramVec
	upstreamFailures  *prometheus.CounterVec

	revocations         *prometheus.CounterVec
	revocationDurations prometheus.Histogram
}

// Histogram buckets in seconds, for operations that should be fast and for the
// lifetimes of sockets, which may be days.
var (
	fast = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	long = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600}
)

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), routes: map[string]*Route{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "wsauth", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "wsauth", Name: name, Help: help}, []string{"route"})
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "wsauth", Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("http_requests_total", "Plain requests, by the status of their response.", "route", "code")
	m.requestDurations = histogram("http_request_duration_seconds", "Time from a plain request to the end of its response.", fast, "route")
	m.handshakes = counter("handshakes_total", "WebSocket handshakes: opened, refused (by the gateway), declined (by the upstream), ended (with the session, before the response), or abandoned (by the client).", "route", "outcome", "reason")
	m.handshakeDurations = histogram("handshake_duration_seconds", "Time from a WebSocket handshake to its outcome.", fast, "route")
	m.sockets = gauge("sockets", "Open WebSockets.")
	m.socketsEnded = counter("sockets_ended_total", "WebSockets that have ended, by reason.", "route", "reason")
	m.socketLifetimes = histogram("socket_lifetime_seconds", "Time from the handshake to the end of a WebSocket.", long, "route")
	m.socketBytes = counter("socket_bytes_total", "Bytes relayed between clients and upstreams, counted when their WebSocket ends.", "route", "from")
	m.socketMessages = counter("socket_messages_total", "Messages relayed between clients and upstreams, counted when their WebSocket ends.", "route", "from")
	m.longRequests = gauge("long_requests", "Plain requests of authenticated clients that have taken longer than a second and end with their session.")
	m.longRequestsEnded = counter("long_requests_ended_total", "Such requests that have ended, by reason: closed, unless the gateway ended them.", "route", "reason")
	m.upstreamLatencies = histogram("upstream_latency_seconds", "Time until an upstream began its response to a request or a handshake.", fast, "route", "protocol")
	m.upstreamFailures = counter("upstream_failures_total", "Requests and handshakes that no upstream answered.", "route", "reason")
	m.revocations = counter("revocations_total", "Revocations made at this node.", "target")
	for _, t := range [...]store.Target{store.TargetToken, store.TargetSession, store.TargetSubject, store.TargetAll, store.TargetSessionless} {
		// Creates the series, so that it reads 0 before the first revocation.
		m.revocations.WithLabelValues(t.String())
	}
	m.revocationDurations = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "wsauth", Name: "revocation_duration_seconds",
		Help: "Time from the call for a revocation until it is stored and its sockets have been told to end.", Buckets: fast})
	m.registry.MustRegister(m.revocationDurations, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// A Route represents a route of the gateway in metrics and logs. Nothing is
// counted for a route after it was removed. Otherwise its series would
// reappear, and the gauges of a new route of the same name would be wrong. The
// methods of a nil Route do nothing.
type Route struct {
	metrics *metrics
	name    string
	removed bool // guarded by metrics.mu
}

// newRoute returns a route that cannot be removed and has no gauges.
func (m *metrics) newRoute(name string) *Route { return &Route{metrics: m, name: name} }

// addRoute returns the route of that name, and creates its gauges, so that
// they read 0 before its first socket. A route that replaces another of the
// same name keeps its values.
func (m *metrics) addRoute(name string) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.routes[name]
	if r == nil {
		r = m.newRoute(name)
		m.routes[name] = r
		m.sockets.WithLabelValues(name)
		m.longRequests.WithLabelValues(name)
	}
	return r
}

// removeRoute removes the series of a route.
func (m *metrics) removeRoute(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.routes[name]; r != nil {
		r.removed = true
		delete(m.routes, name)
	}
	labels := prometheus.Labels{"route": name}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{
		m.requests, m.requestDurations,
		m.handshakes, m.handshakeDurations, m.sockets, m.socketsEnded, m.socketLifetimes, m.socketBytes, m.socketMessages,
		m.longRequests, m.longRequestsEnded,
		m.upstreamLatencies, m.upstreamFailures,
	} {
		v.DeletePartialMatch(labels)
	}
}

// lock delays the removal of routes until unlock is called. It reports false,
// and locks nothing, if r is nil or was removed.
func (r *Route) lock() bool {
	if r == nil {
		return false
	}
	r.metrics.mu.RLock()
	if r.removed {
		r.metrics.mu.RUnlock()
		return false
	}
	return true
}

func (r *Route) unlock() { r.metrics.mu.RUnlock() }

// request counts a plain request.
func (r *Route) request(status int, took time.Duration) {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.requests.WithLabelValues(r.name, statusLabel(status)).Inc()
	r.metrics.requestDurations.WithLabelValues(r.name).Observe(took.Seconds())
}

// statusLabel returns the status of a response as a label, or "none" if the
// client disconnected before the response.
func statusLabel(status int) string {
	if status < http.StatusContinue || status > 999 {
		return "none"
	}
	return strconv.Itoa(status)
}

// handshake counts a handshake and its outcome.
func (r *Route) handshake(outcome, reason string, took time.Duration) {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.handshakes.WithLabelValues(r.name, outcome, reason).Inc()
	r.metrics.handshakeDurations.WithLabelValues(r.name).Observe(took.Seconds())
	if outcome == opened {
		r.metrics.sockets.WithLabelValues(r.name).Inc()
	}
}

// socketEnded counts the end of a socket.
func (r *Route) socketEnded(reason string, lifetime time.Duration, result relay.Result) {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.sockets.WithLabelValues(r.name).Dec()
	r.metrics.socketsEnded.WithLabelValues(r.name, reason).Inc()
	r.metrics.socketLifetimes.WithLabelValues(r.name).Observe(lifetime.Seconds())
	for from, sent := range map[string]relay.Traffic{"client": result.FromClient, "upstream": result.FromUpstream} {
		r.metrics.socketBytes.WithLabelValues(r.name, from).Add(float64(sent.Bytes))
		r.metrics.socketMessages.WithLabelValues(r.name, from).Add(float64(sent.Messages))
	}
}

// LongRequestStarted counts a plain request that has taken longer than a
// second. LongRequestEnded must follow.
func (r *Route) LongRequestStarted() {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.longRequests.WithLabelValues(r.name).Inc()
}

// LongRequestEnded counts the end of a request for which LongRequestStarted
// was called.
func (r *Route) LongRequestEnded(reason string) {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.longRequests.WithLabelValues(r.name).Dec()
	r.metrics.longRequestsEnded.WithLabelValues(r.name, reason).Inc()
}

// UpstreamAnswered records how long an upstream took to begin its response to
// a request. protocol is "http" or "websocket".
func (r *Route) UpstreamAnswered(protocol string, took time.Duration) {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.upstreamLatencies.WithLabelValues(r.name, protocol).Observe(took.Seconds())
}

// UpstreamFailed counts a request that no upstream answered.
func (r *Route) UpstreamFailed(reason string) {
	if !r.lock() {
		return
	}
	defer r.unlock()
	r.metrics.upstreamFailures.WithLabelValues(r.name, reason).Inc()
}
