package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"wsauth"
	"wsauth/internal/asynclog"
)

// A State reads the state of the gateway when metrics are requested. All
// functions are required.
type State struct {
	// Upstreams yields the number of healthy upstreams, and of all upstreams,
	// of each route.
	Upstreams func(yield func(route string, healthy, all int))

	// Guard returns the state of the guard.
	Guard func() wsauth.Stats

	// Connections returns the number of open connections of clients, their
	// limit, and how many were refused.
	Connections func() (open, limit int, refused uint64)
}

// RegisterState adds the state of the gateway and of its log to the metrics.
func (c *Recorder) RegisterState(s State) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("wsauth_"+name, help, labels, nil)
	}
	lines, _ := c.log.Handler().(*asynclog.Handler)
	c.metrics.registry.MustRegister(stateCollector{
		State:              s,
		lines:              lines,
		upstreams:          desc("upstreams", "Upstreams of a route.", "route"),
		upstreamsHealthy:   desc("upstreams_healthy", "Upstreams of a route that get requests.", "route"),
		logEntries:         desc("revocation_log_entries", "Revocations in the store that are still needed."),
		logLimit:           desc("revocation_log_limit", "Maximum number of revocations in the store."),
		pending:            desc("revocations_pending", "Revocations in effect on this node only, because the store has not accepted them."),
		connections:        desc("connections", "Open connections of clients."),
		connectionsLimit:   desc("connections_limit", "Maximum number of connections of clients."),
		connectionsRefused: desc("connections_refused_total", "Connections and handshakes refused because of the limits."),
		linesDropped:       desc("log_lines_dropped_total", "Log lines dropped because the log was not read, by class.", "class"),
		linesSuppressed:    desc("log_refusals_suppressed_total", "Refusals not logged individually because of the limit per second."),
	})
}

// A stateCollector is a [prometheus.Collector] of a State.
type stateCollector struct {
	State
	lines *asynclog.Handler // nil if the log is synchronous and drops no lines

	upstreams, upstreamsHealthy                       *prometheus.Desc
	logEntries, logLimit, pending                     *prometheus.Desc
	connections, connectionsLimit, connectionsRefused *prometheus.Desc
	linesDropped, linesSuppressed                     *prometheus.Desc
}

// Describe implements [prometheus.Collector].
func (c stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.upstreams, c.upstreamsHealthy, c.logEntries, c.logLimit, c.pending,
		c.connections, c.connectionsLimit, c.connectionsRefused, c.linesDropped, c.linesSuppressed,
	} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	c.Upstreams(func(route string, healthy, all int) {
		gauge(c.upstreams, all, route)
		gauge(c.upstreamsHealthy, healthy, route)
	})
	stats := c.Guard()
	gauge(c.pending, stats.Held)
	if stats.Log.Limit > 0 {
		gauge(c.logEntries, stats.Log.Entries)
		gauge(c.logLimit, stats.Log.Limit)
	}
	open, limit, refused := c.Connections()
	gauge(c.connections, open)
	gauge(c.connectionsLimit, limit)
	counter(c.connectionsRefused, refused)
	var suppressed uint64
	for _, class := range []asynclog.Class{asynclog.Ordinary, asynclog.Refusal, asynclog.Audit} {
		var dropped uint64
		if c.lines != nil {
			dropped = c.lines.Dropped(class)
		}
		counter(c.linesDropped, dropped, class.String())
	}
	if c.lines != nil {
		suppressed = c.lines.Suppressed()
	}
	counter(c.linesSuppressed, suppressed)
}
