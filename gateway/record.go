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
	"wsauth/internal/connlimit"
	"wsauth/internal/forwarded"
	"wsauth/internal/relay"
	"wsauth/store"
)

// A record is what becomes known of one request: of its answer or, for a WebSocket handshake, of its outcome, which may come long after
// the handler of the request has returned. It is told once, to the metrics and to the access log.
type record struct {
	gateway *Gateway
	begun   time.Time
	route   *label
	upgrade bool
	taken   bool             // by the guard, from the server
	told    atomic.Bool      // to the metrics and the access log
	place   *connlimit.Place // of its connection
	reason  wsauth.Reason    // of the refusal of a plain request
	status  int
	bytes   int64
	cors    *corsAnswer // nil where the answer says nothing about CORS
	line    *line       // nil without an access log
}

type recordKey struct{}

// recordOf is the record of a request; one that nobody reads where there is none.
func recordOf(ctx context.Context) *record {
	if x, ok := ctx.Value(recordKey{}).(*record); ok {
		return x
	}
	return &record{}
}

// ServeHTTP answers r.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.serve(w, g.clients.identify(r, headerOf(r.Context())))
}

// serve answers a request that is as its client has sent it.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	x := &record{gateway: g, begun: time.Now(), route: g.metrics.elsewhere, upgrade: asksForUpgrade(r), place: placeOf(w, r)}
	if g.access {
		x.line = newLine(r)
	}
	r = r.WithContext(context.WithValue(x.context(r), recordKey{}, x))
	if x.upgrade {
		defer x.answered()
		g.handler.ServeHTTP(&recorder{w, x}, r)
		return
	}
	body := newRequestBody(r)
	x.serve(w, r)
	body.linger(w)
}

// serve answers a plain request.
func (x *record) serve(w http.ResponseWriter, r *http.Request) {
	defer x.answered()
	x.gateway.handler.ServeHTTP(&recorder{w, x}, r)
}

// context is that of the request. A handshake gets one that keeps nothing of net/http's but where panics are logged: its socket holds on to
// it for as long as it lives, and net/http's is half a kilobyte. It does not end with the request, as a socket does not either.
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

// answered is the end of the request's handler. A handshake whose connection was taken goes on without it.
func (x *record) answered() {
	switch {
	case !x.upgrade:
		x.gateway.metrics.answered(x.route, x.status, time.Since(x.begun))
		x.line.answered(x)
	case !x.taken: // and the guard has not refused it
		x.tell("refused", codeLabel(x.status), x.status)
	}
}

// refused notes why a request is refused. Of a handshake that is the outcome, in whichever way the client is told.
func (x *record) refused(e *wsauth.Error) {
	if !x.upgrade {
		x.reason = e.Reason
		return
	}
	x.tell("refused", string(e.Reason), e.Reason.Outcome().Status)
}

// opened is the outcome of a handshake that the upstream has agreed to.
func (x *record) opened() { x.tell(outcomeOpened, "", http.StatusSwitchingProtocols) }

// declined is that of one that the upstream has answered with something else.
func (x *record) declined(status int) { x.tell("declined", codeLabel(status), status) }

// left is that of one that has no other, because its session has ended or the client is gone.
func (x *record) left(cause error) {
	end, ok := errors.AsType[*wsauth.EndError](cause)
	if !ok || end.Reason == "closed" {
		x.tell("left", "", 0)
		return
	}
	x.tell("ended", end.Reason, wsauth.Reason(end.Reason).Outcome().Status) // which the guard answers
}

// tell tells the outcome of a handshake, once.
func (x *record) tell(outcome, reason string, status int) {
	if x.gateway == nil || !x.told.CompareAndSwap(false, true) {
		return
	}
	x.gateway.metrics.handshake(x.route, outcome, reason, time.Since(x.begun))
	x.line.handshake(x, reason, status)
}

// ended is the end of the socket that the handshake has opened.
func (x *record) ended(cause error, result relay.Result) {
	end, ok := errors.AsType[*wsauth.EndError](cause)
	if !ok {
		end = &wsauth.EndError{Reason: result.Reason}
	}
	if x.gateway != nil {
		x.gateway.metrics.ended(x.route, endReason(end, result), time.Since(x.begun), result)
		x.line.ended(x, end, result)
	}
}

// endReason is why a socket has ended: the word of who ended it first.
func endReason(end *wsauth.EndError, result relay.Result) string {
	if result.By == relay.TheOwner {
		return end.Reason
	}
	return result.Reason
}

// An observer records the decisions of the guard.
type observer struct {
	metrics *metrics
	live    *live
}

// Refused notes it in the record of the request.
func (observer) Refused(r *http.Request, e *wsauth.Error) { recordOf(r.Context()).refused(e) }

// Opened is nothing: a socket is open when the upstream has agreed.
func (observer) Opened(*wsauth.Socket) {}

// Renewed ends a socket that may not stay with its new claims.
func (o observer) Renewed(s *wsauth.Socket) { o.live.review(s) }

// Ended is nothing: the relay tells more.
func (observer) Ended(*wsauth.Socket, *wsauth.EndError) {}

// Revoked counts.
func (o observer) Revoked(revocations []store.Revocation, _ int, took time.Duration) {
	o.metrics.revoked(revocations, took)
}

// A recorder is the answer to a request, as far as the record is concerned.
type recorder struct {
	http.ResponseWriter
	record *record
}

// WriteHeader notes the status. It writes the headers of CORS, since only here
// all answers pass: a proxy copies those of an upstream late, and forgets what
// was set before an interim answer.
func (w *recorder) WriteHeader(status int) {
	w.share()
	if w.record.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.record.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// share writes the headers of CORS.
func (w *recorder) share() {
	if c := w.record.cors; c != nil {
		c.policy.write(w.Header(), c.origin)
	}
}

// Write counts.
func (w *recorder) Write(p []byte) (int, error) {
	if w.record.status == 0 {
		w.share()
		w.record.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.record.bytes += int64(n)
	return n, err
}

// Hijack is found by http.ResponseController.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.record.taken = true
		w.record.cors = nil // a socket may live long
	}
	return conn, buffered, err
}

// Unwrap gives http.ResponseController the rest.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
