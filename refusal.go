package wsauth

import (
	"errors"
	"net/http"

	"wsauth/internal/httpx"
	"wsauth/internal/problem"
	"wsauth/internal/ratelimit"
	"wsauth/internal/wsconn"
	"wsauth/internal/wsframe"
)

// Refuse responds to r with an error of [Guard.Check] or [Guard.Admit], or
// with the [Socket.Err] of a socket that ended before its request was
// answered. The response is application/problem+json (RFC 9457), or, for an
// upgrade with RefuseClose, a socket that closes with the code and the reason.
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	if end, ok := err.(*EndError); ok { // but not one that a refusal wraps as its cause
		if isUpgrade(r) {
			g.refuseEnded(w, r, end)
			return
		}
		err = end.refusal()
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = refuse(InternalError, err)
	}
	g.report.refused(r, e)
	if isUpgrade(r) {
		wsconn.Refuse(w)
		if g.config.Refusal == RefuseClose && e.mayOpen() {
			network := ratelimit.Network(g.proxies.Of(r).Addr)
			if g.refusals.open(w, r, network, g.extractors, e) {
				return
			}
		}
		// Bytes that the client sent after the handshake are not a request.
		w.Header().Set("Connection", "close")
	}
	writeProblem(w, e)
}

// refuseEnded responds to the handshake of a socket that has ended. After a
// 101, its connection sends the close frame itself.
func (g *Guard) refuseEnded(w http.ResponseWriter, r *http.Request, end *EndError) {
	e := end.refusal()
	if end.Reason != closedEnd.Reason { // not closed by the client
		g.report.refused(r, e)
	}
	clear(w.Header())
	wsconn.Refuse(w)
	if g.config.Refusal == RefuseClose && e.mayOpen() && wsframe.ValidKey(r.Header.Get("Sec-WebSocket-Key")) {
		setUpgradeHeaders(w.Header(), r, g.extractors)
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	writeProblem(w, e)
}

// mayOpen reports whether a socket may be opened only to say why it closes. It
// reports false for pages of other origins, for an invalid handshake, and after
// an internal error.
func (e *Error) mayOpen() bool {
	switch e.Reason {
	case OriginNotAllowed, InvalidHandshake, MethodNotAllowed, VersionNotSupported, InternalError:
		return false
	}
	return true
}

// writeProblem responds with e as a problem document.
func writeProblem(w http.ResponseWriter, e *Error) {
	status := e.Reason.Outcome().Status
	h := w.Header()
	switch e.Reason {
	case MethodNotAllowed:
		h.Set("Allow", http.MethodGet)
	case VersionNotSupported:
		h.Set("Sec-WebSocket-Version", "13") // RFC 6455 section 4.4
		h.Set("Upgrade", "websocket")        // RFC 9110 section 15.5.22
	case InvalidRequest:
		h.Set("WWW-Authenticate", `Bearer error="invalid_request"`)
	case TokenMissing:
		h.Set("WWW-Authenticate", "Bearer") // no error code without a credential (RFC 6750 section 3.1)
	default:
		if status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		}
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	problem.New(problem.Document{Status: status, Detail: e.Message, Reason: string(e.Reason)}).Write(w)
}

// setUpgradeHeaders sets the headers of the 101 response to r for a socket on
// which only a close frame follows. It selects no subprotocol that is a
// credential.
func setUpgradeHeaders(h http.Header, r *http.Request, x *extractors) {
	bare := r.Clone(r.Context())
	x.stripAlways(bare)
	wsframe.SetAccept(h, r.Header.Get("Sec-WebSocket-Key"), httpx.Subprotocol(bare.Header["Sec-Websocket-Protocol"]))
}
