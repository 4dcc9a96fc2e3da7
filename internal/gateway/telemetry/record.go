package telemetry

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"wsauth"
	"wsauth/internal/relay"
	"wsauth/token"
)

// A Record collects the outcome of one request: the response or, for a
// WebSocket handshake, how the handshake ended. That may be long after the
// request's handler has returned. A Record is reported once, to the metrics and
// to the access log. A zero Record is never reported.
//
// A handler and the socket that it opens use a Record one after the other;
// only the report of a handshake may come from several goroutines.
type Record struct {
	recorder *Recorder // nil if the record is not reported
	started  time.Time
	route    *Route
	upgrade  bool
	hijacked bool        // the connection was hijacked
	reported atomic.Bool // to the metrics and the access log
	reason   string      // why a plain request was refused
	status   int
	bytes    int64
	line     *line // nil without an access log
}

// Start returns the record of a request that has just arrived. upgrade reports
// whether it is a WebSocket handshake.
func (c *Recorder) Start(r *http.Request, upgrade bool) *Record {
	x := &Record{recorder: c, started: time.Now(), route: c.noRoute, upgrade: upgrade}
	if c.accessLog {
		x.line = newLine(r)
	}
	return x
}

type contextKey struct{}

// With returns a context with the record x.
func With(ctx context.Context, x *Record) context.Context {
	return context.WithValue(ctx, contextKey{}, x)
}

// From returns the record of a request. If there is none, it returns a new
// record that is not reported.
func From(ctx context.Context) *Record {
	if x, ok := ctx.Value(contextKey{}).(*Record); ok {
		return x
	}
	return new(Record)
}

// SetRoute sets the route of the request. Default: "none".
func (x *Record) SetRoute(r *Route) { x.route = r }

// SetReason sets the reason for which a plain request was refused.
func (x *Record) SetReason(reason string) { x.reason = reason }

// SetClaims sets the user and the session of the request. Nil claims are
// ignored.
func (x *Record) SetClaims(claims *token.Claims) { x.line.setClaims(claims) }

// IsUpgrade reports whether the request is a WebSocket handshake.
func (x *Record) IsUpgrade() bool { return x.upgrade }

// IsHijacked reports whether the connection of the request was hijacked.
func (x *Record) IsHijacked() bool { return x.hijacked }

// HandlerReturned records that the request's handler has returned. A handshake
// whose connection was hijacked continues.
func (x *Record) HandlerReturned() {
	switch {
	case x.recorder == nil:
	case !x.upgrade:
		x.route.request(x.status, time.Since(x.started))
		x.line.response(x)
	case !x.hijacked: // does nothing if the guard has refused the handshake
		x.report(refused, statusLabel(x.status), x.status)
	}
}

// The outcomes of handshakes; see docs/operations.md.
const (
	opened    = "opened"
	refused   = "refused"
	declined  = "declined"
	ended     = "ended"
	abandoned = "abandoned"
)

// Refused records why a request was refused. For a handshake, the refusal is
// the outcome, whether it is sent in HTTP or as a close code.
func (x *Record) Refused(e *wsauth.Error) {
	if !x.upgrade {
		x.reason = string(e.Reason)
		return
	}
	x.report(refused, string(e.Reason), e.Reason.Outcome().Status)
}

// Opened records that the upstream has accepted a handshake.
func (x *Record) Opened() { x.report(opened, "", http.StatusSwitchingProtocols) }

// Declined records that the upstream has answered a handshake with a status
// other than 101.
func (x *Record) Declined(status int) { x.report(declined, statusLabel(status), status) }

// Unanswered records the outcome of a handshake that was not answered before
// its session ended or its client disconnected. cause is the error of its
// socket.
func (x *Record) Unanswered(cause error) {
	end, ok := errors.AsType[*wsauth.EndError](cause)
	if !ok || end.Reason == "closed" {
		x.report(abandoned, "", 0)
		return
	}
	x.report(ended, string(end.Reason), end.Reason.Outcome().Status) // the guard answers with this status
}

// report reports the outcome of a handshake, once.
func (x *Record) report(outcome, reason string, status int) {
	if x.recorder == nil || !x.reported.CompareAndSwap(false, true) {
		return
	}
	x.route.handshake(outcome, reason, time.Since(x.started))
	x.line.handshake(x, reason, status)
}

// Ended records the end of the socket that the handshake opened. cause is the
// error of the socket.
func (x *Record) Ended(cause error, result relay.Result) {
	if x.recorder == nil {
		return
	}
	end, ok := errors.AsType[*wsauth.EndError](cause)
	if !ok {
		end = &wsauth.EndError{Reason: wsauth.Reason(result.Reason)}
	}
	reason := result.Reason // as given by the side that ended it first
	if result.By == relay.TheOwner {
		reason = string(end.Reason)
	}
	x.route.socketEnded(reason, time.Since(x.started), result)
	x.line.socket(x, end.Code, reason, result)
}

// A ResponseWriter records the status and the size of a response, and whether
// its connection was hijacked, in the Record of the request.
type ResponseWriter struct {
	http.ResponseWriter
	Record *Record
}

// WriteHeader records the status, except that of interim responses.
func (w *ResponseWriter) WriteHeader(status int) {
	if w.Record.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.Record.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes of the response.
func (w *ResponseWriter) Write(p []byte) (int, error) {
	if w.Record.status == 0 {
		w.Record.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.Record.bytes += int64(n)
	return n, err
}

// Hijack hijacks the connection, for [http.ResponseController].
func (w *ResponseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.Record.hijacked = true
	}
	return conn, buffered, err
}

// Unwrap gives http.ResponseController access to the other methods.
func (w *ResponseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
