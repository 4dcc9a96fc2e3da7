// Package telemetry records what happens to the requests of the gateway: in
// metrics, which Prometheus reads, and in the access log. It knows routes only
// by their names.
//
//	recorder.go   the Recorder, and the handlers for operators
//	record.go     the outcome of one request
//	metrics.go    the metrics, and the routes that label them
//	state.go      metrics that are read when they are requested
//	accesslog.go  the access log
//	log.go        the classes of lines in the gateway's log
package telemetry

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wsauth"
	"wsauth/internal/problem"
	"wsauth/store"
)

// A Recorder records what happens to the requests of a gateway. It is safe for
// concurrent use.
type Recorder struct {
	metrics   *metrics
	noRoute   *Route
	log       *slog.Logger
	accessLog bool
}

// New returns a recorder. If accessLog is set, it logs each request to l.
func New(l *slog.Logger, accessLog bool) *Recorder {
	m := newMetrics()
	return &Recorder{metrics: m, noRoute: m.newRoute("none"), log: l, accessLog: accessLog}
}

// AddRoute adds a route to the metrics, or returns the route of that name.
func (c *Recorder) AddRoute(name string) *Route { return c.metrics.addRoute(name) }

// RemoveRoute removes a route and its series from the metrics.
func (c *Recorder) RemoveRoute(name string) { c.metrics.removeRoute(name) }

// Endpoint wraps one of the gateway's own endpoints. It records the requests of
// the endpoint, with its path as their route. If the endpoint opens no sockets,
// an upgrade request is answered and counted as a plain one: a server may
// ignore Upgrade (RFC 9110 section 7.8).
func (c *Recorder) Endpoint(e problem.Endpoint, opensSockets bool) problem.Endpoint {
	route, handler := c.metrics.newRoute(strings.TrimSuffix(e.Path, "{$}")), e.Handler
	e.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := From(r.Context())
		x.SetRoute(route)
		if !opensSockets {
			r.Header.Del("Upgrade")
			x.upgrade = false
		}
		handler.ServeHTTP(w, r)
	})
	return e
}

// An Observer records the decisions of a guard. It implements
// [wsauth.Observer].
type Observer struct{ Recorder *Recorder }

// Refused records the refusal in the record of the request.
func (Observer) Refused(r *http.Request, e *wsauth.Error) { From(r.Context()).Refused(e) }

// Opened does nothing: [Record.Opened] records that the upstream has accepted
// a socket.
func (Observer) Opened(*wsauth.Socket) {}

// Renewed does nothing.
func (Observer) Renewed(*wsauth.Socket) {}

// Ended does nothing: [Record.Ended] records the end with more details.
func (Observer) Ended(*wsauth.Socket, *wsauth.EndError) {}

// Revoked counts the revocations of one call and records how long it took.
func (o Observer) Revoked(revocations []store.Revocation, _ int, took time.Duration) {
	for _, r := range revocations {
		o.Recorder.metrics.revocations.WithLabelValues(r.Target.String()).Inc()
	}
	o.Recorder.metrics.revocationDurations.Observe(took.Seconds())
}

// Paths of the handlers for operators.
const (
	livePath    = "/livez"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

// IsHealth reports whether path is that of a health check.
func IsHealth(path string) bool { return path == livePath || path == readyPath }

// Handler returns a handler for GET /metrics, in the formats of Prometheus,
// and for the health checks of h.
func (c *Recorder) Handler(h Health) http.Handler {
	collected := promhttp.HandlerFor(c.metrics.registry, promhttp.HandlerOpts{
		ErrorLog:            NewServerLog(c.log),
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
	return problem.NewMux(append(h.endpoints(), problem.Endpoint{Method: http.MethodGet, Path: metricsPath, Handler: collected}), AnswerProblem)
}

// Health answers health checks. GET /livez answers 200 while the process runs.
// GET /readyz answers 200 if the gateway can admit clients, and 503 if it
// cannot.
type Health struct {
	// Ready returns nil if the gateway can admit clients, and otherwise an
	// [*wsauth.Error].
	Ready func() error

	// Degraded reports whether revocations cannot be stored. The answer to
	// /readyz is 200 even then. Otherwise a single client that fills the store
	// would make every node unready.
	Degraded func() bool
}

// Handler returns a handler for the health checks.
func (h Health) Handler() http.Handler { return problem.NewMux(h.endpoints(), AnswerProblem) }

func (h Health) endpoints() []problem.Endpoint {
	return []problem.Endpoint{
		{Method: http.MethodGet, Path: livePath, Handler: http.HandlerFunc(h.live)},
		{Method: http.MethodGet, Path: readyPath, Handler: http.HandlerFunc(h.ready)},
	}
}

// A healthAnswer is the body of /livez and /readyz with status 200. Status is
// "alive", "ready" or "degraded".
type healthAnswer struct {
	Status string `json:"status"`
}

func (Health) live(w http.ResponseWriter, _ *http.Request) {
	problem.WriteJSON(w, healthAnswer{"alive"})
}

func (h Health) ready(w http.ResponseWriter, r *http.Request) {
	if refusal, ok := errors.AsType[*wsauth.Error](h.Ready()); ok {
		Problem(http.StatusServiceUnavailable, string(refusal.Reason), refusal.Message)(w, r)
		return
	}
	if h.Degraded() {
		problem.WriteJSON(w, healthAnswer{"degraded"})
		return
	}
	problem.WriteJSON(w, healthAnswer{"ready"})
}

// Problem returns a handler that answers every request with the same problem
// document, and records its reason. detail is a fixed text for people. Neither
// reason nor detail may contain anything from the request.
func Problem(status int, reason, detail string) http.HandlerFunc {
	return document(problem.Document{Status: status, Detail: detail, Reason: reason})
}

// AnswerProblem answers r with d, and records its reason.
func AnswerProblem(w http.ResponseWriter, r *http.Request, d problem.Document) { document(d)(w, r) }

func document(d problem.Document) http.HandlerFunc {
	response := problem.New(d)
	return func(w http.ResponseWriter, r *http.Request) {
		From(r.Context()).SetReason(d.Reason)
		if len(r.Header["Upgrade"]) > 0 {
			// What follows a refused handshake is not a request.
			w.Header().Set("Connection", "close")
		}
		response.Write(w)
	}
}
