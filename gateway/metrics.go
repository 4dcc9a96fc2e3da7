package gateway

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

// outcomeOpened is the outcome of a handshake that opened a socket.
const outcomeOpened = "opened"

// metrics holds the metrics of a gateway. The values of all labels come from
// the configuration, from fixed tables, or from a small set of numbers, so
// that clients cannot create new series.
type metrics struct {
	registry  *prometheus.Registry
	elsewhere *label // of requests without a route

	mu     sync.RWMutex // locked while a route is removed
	routes map[string]*label

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec

	handshakes *prometheus.CounterVec
	openings   *prometheus.HistogramVec
	sockets    *prometheus.GaugeVec
	ends       *prometheus.CounterVec
	lifetimes  *prometheus.HistogramVec
	bytes      *prometheus.CounterVec
	messages   *prometheus.CounterVec

	held     *prometheus.GaugeVec
	heldEnds *prometheus.CounterVec

	upstreams *prometheus.HistogramVec
	failures  *prometheus.CounterVec

	revocations *prometheus.CounterVec
	revoking    prometheus.Histogram
}

// Histogram buckets in seconds, for operations that should be fast and for the
// lifetimes of sockets, which may be days.
var (
	quick = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	long  = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600}
)

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), elsewhere: &label{name: "none"}, routes: map[string]*label{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "wsauth", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "wsauth", Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	m.requests = counter("http_requests_total", "Plain requests, by the status of their answer.", "route", "code")
	m.durations = histogram("http_request_duration_seconds", "Time from a plain request to the end of its answer.", quick, "route")
	m.handshakes = counter("handshakes_total", "WebSocket handshakes: opened, refused (by the gateway), declined (by the upstream), ended (with the session, before they were answered), or left (by the client).", "route", "outcome", "reason")
	m.openings = histogram("handshake_duration_seconds", "Time from a WebSocket handshake to its outcome.", quick, "route")
	m.sockets = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "wsauth", Name: "sockets", Help: "WebSockets that are open now."}, []string{"route"})
	m.registry.MustRegister(m.sockets)
	m.ends = counter("socket_ends_total", "WebSockets that have ended, by the reason.", "route", "reason")
	m.lifetimes = histogram("socket_lifetime_seconds", "Time from the handshake to the end of WebSockets.", long, "route")
	m.bytes = counter("socket_bytes_total", "Bytes passed on between clients and upstreams, counted when their WebSocket has ended.", "route", "from")
	m.messages = counter("socket_messages_total", "Messages passed on between clients and upstreams, counted when their WebSocket has ended.", "route", "from")
	m.held = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "wsauth", Name: "long_requests", Help: "Plain requests of authenticated clients that have taken longer than a second and end with their session."}, []string{"route"})
	m.registry.MustRegister(m.held)
	m.heldEnds = counter("long_request_ends_total", "Such requests that have ended, by the reason: closed, unless the gateway has ended them.", "route", "reason")
	m.upstreams = histogram("upstream_duration_seconds", "Time until an upstream has begun to answer a request or a handshake.", quick, "route", "kind")
	m.failures = counter("upstream_failures_total", "Requests and handshakes that no upstream has answered.", "route", "reason")
	m.revocations = counter("revocations_total", "Revocations that were made at this node.", "target")
	for target := range targets {
		// Creates the series, so that it reads 0 before the first revocation.
		m.revocations.WithLabelValues(targets[target].String())
	}
	m.revoking = prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "wsauth", Name: "revocation_duration_seconds",
		Help: "Time from the call for a revocation until it is kept and its sockets have been told to end.", Buckets: quick})
	m.registry.MustRegister(m.revoking, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

var targets = [...]store.Target{store.TargetToken, store.TargetSession, store.TargetSubject, store.TargetAll, store.TargetSessionless}

// revoked counts revocations that were made together and took that long.
func (m *metrics) revoked(all []store.Revocation, took time.Duration) {
	for _, r := range all {
		m.revocations.WithLabelValues(r.Target.String()).Inc()
	}
	m.revoking.Observe(took.Seconds())
}

// A label is the name of a route in metrics and logs.
type label struct {
	name string
	gone bool // the route was removed, and what ends now is not counted
}

// begin returns the label of a route that is served from now on, and creates
// its gauges, so that they read 0 before its first socket. A route that
// replaces one of the same name continues with its label and its values.
func (m *metrics) begin(route string) *label {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.routes[route]
	if l == nil {
		l = &label{name: route}
		m.routes[route] = l
		m.sockets.WithLabelValues(route)
		m.held.WithLabelValues(route)
	}
	return l
}

// forget removes the series of a route that was removed.
func (m *metrics) forget(route string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.routes[route]; l != nil {
		l.gone = true
		delete(m.routes, route)
	}
	of := prometheus.Labels{"route": route}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.requests, m.durations, m.handshakes, m.openings, m.sockets, m.ends, m.lifetimes, m.bytes, m.messages, m.held, m.heldEnds, m.upstreams, m.failures} {
		v.DeletePartialMatch(of)
	}
}

// answered counts a plain request.
func (m *metrics) answered(route *label, status int, took time.Duration) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if route.gone {
		return
	}
	m.requests.WithLabelValues(route.name, codeLabel(status)).Inc()
	m.durations.WithLabelValues(route.name).Observe(took.Seconds())
}

// codeLabel returns the status of an answer as a label, or "none" if the
// client left before it was answered.
func codeLabel(status int) string {
	if status < http.StatusContinue || status > 999 {
		return "none"
	}
	return strconv.Itoa(status)
}

// handshake counts a handshake and its outcome.
func (m *metrics) handshake(route *label, outcome, reason string, took time.Duration) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if route.gone {
		return
	}
	m.handshakes.WithLabelValues(route.name, outcome, reason).Inc()
	m.openings.WithLabelValues(route.name).Observe(took.Seconds())
	if outcome == outcomeOpened {
		m.sockets.WithLabelValues(route.name).Inc()
	}
}

// ended counts the end of a socket.
func (m *metrics) ended(route *label, reason string, lived time.Duration, result relay.Result) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if route.gone {
		return
	}
	m.sockets.WithLabelValues(route.name).Dec()
	m.ends.WithLabelValues(route.name, reason).Inc()
	m.lifetimes.WithLabelValues(route.name).Observe(lived.Seconds())
	for from, sent := range map[string]relay.Traffic{"client": result.FromClient, "upstream": result.FromUpstream} {
		m.bytes.WithLabelValues(route.name, from).Add(float64(sent.Bytes))
		m.messages.WithLabelValues(route.name, from).Add(float64(sent.Messages))
	}
}

// followed adds to the number of plain requests that the guard follows because
// they take long: by is 1 at the start and -1 at the end.
func (m *metrics) followed(route *label, by float64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if route != nil && !route.gone {
		m.held.WithLabelValues(route.name).Add(by)
	}
}

// left counts the end of a followed request.
func (m *metrics) left(route *label, reason string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if route != nil && !route.gone {
		m.heldEnds.WithLabelValues(route.name, reason).Inc()
	}
}

// reached records how long an upstream took to begin its answer to a request.
// kind is "http" or "websocket".
func (m *metrics) reached(route, kind string, took time.Duration) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.routes[route] != nil {
		m.upstreams.WithLabelValues(route, kind).Observe(took.Seconds())
	}
}

// failed counts a request that no upstream answered.
func (m *metrics) failed(route, reason string) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.routes[route] != nil {
		m.failures.WithLabelValues(route, reason).Inc()
	}
}
