package gateway

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"wsauth"
	"wsauth/internal/forwarded"
	"wsauth/internal/relay"
	"wsauth/store"
)

// A record collects what is known about one request: its answer or, for a
// WebSocket handshake, its outcome, which may be decided long after the
// request's handler has returned. It is reported once, to the metrics and to
// the access log.
type record struct {
	gateway *Gateway
	begun   time.Time
	route   *label
	upgrade bool
	taken   bool          // the guard has taken the connection over from the server
	told    atomic.Bool   // reported to the metrics and the access log
	reason  wsauth.Reason // why a plain request was refused
	status  int
	bytes   int64
	line    *line // nil without an access log
}

type recordKey struct{}

// recordOf returns the record of a request. If there is none, it returns a new
// record that is not reported.
func recordOf(ctx context.Context) *record {
	if x, ok := ctx.Value(recordKey{}).(*record); ok {
		return x
	}
	return &record{}
}

// context returns the context of the request. A handshake gets a new one,
// which keeps only the client and the value by which net/http logs panics: the
// socket retains its context for as long as it lives, and net/http's takes
// half a kilobyte. Like the socket, the new context does not end with the
// request.
func (x *record) context(r *http.Request) context.Context {
	if !x.upgrade {
		return r.Context()
	}
	ctx := context.WithValue(context.Background(), http.ServerContextKey, r.Context().Value(http.ServerContextKey))
	if c := forwarded.From(r.Context()); c != nil {
		ctx = forwarded.With(ctx, c)
	}
	return ctx
}

// answered records that the request's handler has returned. A handshake whose
// connection was taken over continues without it.
func (x *record) answered() {
	switch {
	case !x.upgrade:
		x.gateway.metrics.answered(x.route, x.status, time.Since(x.begun))
		x.line.answered(x)
	case !x.taken: // does nothing if the guard has refused the handshake
		x.tell("refused", codeLabel(x.status), x.status)
	}
}

// refused records why a request was refused. That is the outcome of a
// handshake, in whichever way the client is told.
func (x *record) refused(e *wsauth.Error) {
	if !x.upgrade {
		x.reason = e.Reason
		return
	}
	x.tell("refused", string(e.Reason), e.Reason.Outcome().Status)
}

// opened records that the upstream has accepted the handshake.
func (x *record) opened() { x.tell(outcomeOpened, "", http.StatusSwitchingProtocols) }

// declined records that the upstream has answered the handshake with another
// status than 101.
func (x *record) declined(status int) { x.tell("declined", codeLabel(status), status) }

// left records the outcome of a handshake that was not answered, because its
// session ended or the client left.
func (x *record) left(cause error) {
	end, ok := errors.AsType[*wsauth.EndError](cause)
	if !ok || end.Reason == "closed" {
		x.tell("left", "", 0)
		return
	}
	x.tell("ended", string(end.Reason), end.Reason.Outcome().Status) // the guard answers with this status
}

// tell reports the outcome of a handshake, once.
func (x *record) tell(outcome, reason string, status int) {
	if x.gateway == nil || !x.told.CompareAndSwap(false, true) {
		return
	}
	x.gateway.metrics.handshake(x.route, outcome, reason, time.Since(x.begun))
	x.line.handshake(x, reason, status)
}

// ended records the end of the socket that the handshake opened.
func (x *record) ended(cause error, result relay.Result) {
	end, ok := errors.AsType[*wsauth.EndError](cause)
	if !ok {
		end = &wsauth.EndError{Reason: wsauth.Reason(result.Reason)}
	}
	if x.gateway != nil {
		x.gateway.metrics.ended(x.route, endReason(end, result), time.Since(x.begun), result)
		x.line.ended(x, end, result)
	}
}

// endReason returns why a socket ended, in the words of the party that ended
// it first.
func endReason(end *wsauth.EndError, result relay.Result) string {
	if result.By == relay.TheOwner {
		return string(end.Reason)
	}
	return result.Reason
}

// An observer records the decisions of the guard. It implements
// [wsauth.Observer].
type observer struct{ gateway *Gateway }

// Refused records the refusal in the record of the request.
func (observer) Refused(r *http.Request, e *wsauth.Error) { recordOf(r.Context()).refused(e) }

// Opened does nothing: opening.tie records that a socket is open once the
// upstream has accepted it.
func (observer) Opened(*wsauth.Socket) {}

// Renewed ends a socket that may not stay open with its new claims.
func (o observer) Renewed(s *wsauth.Socket) { o.gateway.routes.Renewed(s) }

// Ended does nothing: the relay reports the end with more details.
func (observer) Ended(*wsauth.Socket, *wsauth.EndError) {}

// Revoked counts the revocations.
func (o observer) Revoked(revocations []store.Revocation, _ int, took time.Duration) {
	o.gateway.metrics.revoked(revocations, took)
}

// A recorder is a ResponseWriter that records the status and the size of the
// answer.
type recorder struct {
	http.ResponseWriter
	record *record
}

// WriteHeader records the status.
func (w *recorder) WriteHeader(status int) {
	if w.record.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.record.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes of the answer.
func (w *recorder) Write(p []byte) (int, error) {
	if w.record.status == 0 {
		w.record.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.record.bytes += int64(n)
	return n, err
}

// Hijack takes the connection over, for http.ResponseController.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.record.taken = true
	}
	return conn, buffered, err
}

// Unwrap gives http.ResponseController access to the other methods.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
