package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
)

// A passage is a plain request that is passed on to an upstream. If it takes
// long, the guard follows it and ends it together with the client's session.
type passage struct {
	header    http.Header    // of the request to the upstream
	preflight bool           // passed on although the client is not authenticated
	socket    *wsauth.Socket // nil if the guard does not follow the request
	proxy     *proxy
	key       routeKey

	mu            sync.Mutex
	answerStarted bool // by the upstream
}

type passageKey struct{}

// begin registers the request with the guard, which follows it if it takes
// long.
func (x *passage) begin(p *proxy, r *http.Request) {
	x.proxy, x.key = p, routeKeyOf(r)
	x.socket = wsauth.Follow(r.Context(), x)
	if x.socket != nil && r.ContentLength > 0 {
		x.socket.SetTransfer(wsauth.Bounded)
	}
}

// received records that the client's body was read to its end or failed.
func (x *passage) received() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.socket != nil && !x.answerStarted {
		x.socket.SetTransfer(wsauth.Unanswered)
	}
}

// answered records that the upstream has answered. It fails if the session has
// ended in the meantime.
func (x *passage) answered(response *http.Response) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := response.Request.Context().Err(); err != nil {
		return err
	}
	x.answerStarted = true
	if x.socket != nil {
		x.socket.SetTransfer(transferOf(response))
	}
	return nil
}

func (x *passage) isAnswered() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.answerStarted
}

// end records why the guard ended the request, if it did.
func (x *passage) end(ctx context.Context) {
	if end, ok := errors.AsType[*wsauth.EndError](context.Cause(ctx)); ok {
		telemetry.From(ctx).SetReason(string(end.Reason))
	}
}

// transferOf returns the state of a transfer that has begun this response.
func transferOf(response *http.Response) wsauth.Transfer {
	kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "text/event-stream", "multipart/x-mixed-replace":
		return wsauth.Endless // regardless of its Content-Length
	}
	if response.ContentLength >= 0 || response.Body == http.NoBody {
		return wsauth.Bounded
	}
	return wsauth.Endless
}

// Opened records that the guard follows the request, because it takes long.
func (x *passage) Opened(s *wsauth.Socket) {
	p := x.proxy
	p.routes.live.add(s, x.key, p, "")
	p.label.LongRequestStarted()
}

// Ended records that a followed request has ended.
func (x *passage) Ended(s *wsauth.Socket, e *wsauth.EndError) {
	p := x.proxy
	p.routes.live.remove(s)
	p.label.LongRequestEnded(string(e.Reason))
}
