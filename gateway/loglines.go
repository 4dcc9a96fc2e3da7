package gateway

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"wsauth/internal/asynclog"
)

// auditLines are the log messages that record logins, revocations and the
// actions of operators.
var auditLines = map[string]bool{
	"logged in":                         true,
	"logged out":                        true,
	"logged out everywhere":             true,
	"stepped up":                        true,
	"session ended":                     true,
	"ended by its provider":             true,
	"user changed":                      true,
	"users read":                        true,
	"configuration read":                true,
	"keys read":                         true,
	"admin: revoked":                    true,
	"admin: draining":                   true,
	"draining":                          true,
	"stopping":                          true,
	"stopped":                           true,
	"listening":                         true,
	"certificate read":                  true,
	"the first key was generated":       true,
	"operators are served":              true,
	"insecure":                          true,
	"the operators' token was replaced": true,
}

// refusalLines are the log messages that any client on the network can cause.
var refusalLines = map[string]bool{
	"refused":           true,
	"login refused":     true,
	"login failed":      true,
	"ticket refused":    true,
	"statement refused": true,
	"admin: refused":    true,
}

// ClassOfLine returns the class of a line in a gateway's log, which determines
// the quota that it counts against. An access log line with an error status is
// a refusal.
func ClassOfLine(r slog.Record) asynclog.Class {
	switch {
	case auditLines[r.Message]:
		return asynclog.Audit
	case refusalLines[r.Message]:
		return asynclog.Refusal
	case r.Message != requestLine:
		return asynclog.Ordinary
	}
	class := asynclog.Ordinary
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == statusKey && a.Value.Kind() == slog.KindInt64 && a.Value.Int64() >= http.StatusBadRequest {
			class = asynclog.Refusal
			return false
		}
		return true
	})
	return class
}

// lostLines collects how many lines the gateway's log has lost. handler is nil
// if the log is synchronous, in which case no lines are lost.
type lostLines struct {
	handler             *asynclog.Handler
	dropped, suppressed *prometheus.Desc
}

func newLostLines(log *slog.Logger) lostLines {
	handler, _ := log.Handler().(*asynclog.Handler)
	return lostLines{
		handler,
		prometheus.NewDesc("wsauth_log_lines_dropped_total", "Log lines that were dropped because the log was not read, by their class.", []string{"class"}, nil),
		prometheus.NewDesc("wsauth_log_refusals_suppressed_total", "Refusals without a line of their own, because there were too many in a second.", nil, nil),
	}
}

func (l lostLines) Describe(to chan<- *prometheus.Desc) {
	to <- l.dropped
	to <- l.suppressed
}

func (l lostLines) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	var suppressed uint64
	for _, class := range []asynclog.Class{asynclog.Ordinary, asynclog.Refusal, asynclog.Audit} {
		var dropped uint64
		if l.handler != nil {
			dropped = l.handler.Dropped(class)
		}
		counter(l.dropped, dropped, class.String())
	}
	if l.handler != nil {
		suppressed = l.handler.Suppressed()
	}
	counter(l.suppressed, suppressed)
}
