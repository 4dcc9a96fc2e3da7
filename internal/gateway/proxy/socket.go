package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/relay"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// serveSocket opens a WebSocket to the upstream for a client that the guard
// admits, and relays between the two. The client gets its 101 only when the
// upstream has accepted the socket.
func (p *proxy) serveSocket(w http.ResponseWriter, r *http.Request) {
	claims, err := p.guard.Check(r, p.requirement)
	if err != nil {
		p.guard.Refuse(w, r, err)
		return
	}
	started := time.Now()
	response, socket := wsconn.Accept(w, p.routes.config.Guard.Paused, func(response *wsconn.Response) (*wsauth.Socket, error) {
		if response.IsEarly() {
			return nil, errEarly()
		}
		return p.guard.Admit(r, p.requirement, claims, response.Conn())
	}, func(w http.ResponseWriter, err error) { p.guard.Refuse(w, r, err) })
	if response == nil {
		return
	}
	telemetry.From(r.Context()).SetClaims(claims)
	if name := socket.Subprotocol(r); name != "" {
		response.Conn().ChooseSubprotocol(name)
	}
	o := &opening{proxy: p, w: response, socket: socket, waits: claims == nil && p.requirement != wsauth.Optional, started: started}
	o.r = r.Clone(r.Context())
	o.r.Body = http.NoBody
	p.guard.Strip(o.r)
	p.stripOwn(o.r)
	if response.NeedsGoroutine() {
		go o.begin()
		return
	}
	o.begin()
}

// startRelay hands both connections to the relay. fromClient are bytes that the
// client has already sent.
func (o *opening) startRelay(backend *upstream.Socket, fromClient []byte) {
	p, socket, record := o.proxy, o.socket, telemetry.From(o.r.Context())
	p.routes.live.add(socket, routeKeyOf(o.r), p, backend.Address)
	record.Opened()
	taken := o.w.Take().Handover(func(bare net.Conn, closed func()) wsconn.Ender {
		return p.routes.config.Carrier.Carry(relay.Pair{
			Client:       bare,
			Upstream:     backend.Conn,
			FromClient:   fromClient,
			FromUpstream: backend.Early,
			Deflate:      backend.Deflate,
			MaxFrame:     Bound(p.route.Limits.MaxFrame),
			MaxMessage:   Bound(p.route.Limits.MaxMessage),
			Idle:         Bound(p.route.Limits.Idle),
			Ping:         Bound(p.route.Limits.Ping),
			MaxFragments: Bound(p.route.Limits.MaxFragments),
			Fault: func(code int, reason, limit string) {
				socket.EndWith(faultOf(code, reason, limit))
			},
			Closed: func(result relay.Result) {
				p.routes.live.remove(socket)
				closed()
				record.Ended(socket.Err(), result)
			},
		})
	})
	if !taken { // the socket has ended in the meantime
		p.routes.live.remove(socket)
		_ = backend.Close()
		record.Ended(socket.Err(), relay.Result{By: relay.TheOwner})
	}
}

// faultOf returns the end of a socket whose client broke a rule. If the client
// exceeded a limit, the reason names its key in the configuration, so that
// operators know what to change.
func faultOf(code int, reason, limit string) *wsauth.EndError {
	if limit == "" {
		return &wsauth.EndError{Code: code, Reason: wsauth.Reason(reason), Err: errors.New("the client broke a rule, or was silent")}
	}
	key := "limits." + limit
	return &wsauth.EndError{Code: code, Reason: wsauth.Reason(reason + ": " + key), Err: fmt.Errorf("the client sent more than %s of the route allows", key)}
}

// failure returns the refusal of a request that the upstream did not answer.
func (p *proxy) failure(err error) *wsauth.Error {
	if refusal, ok := errors.AsType[*wsauth.Error](err); ok {
		return refusal
	}
	if errors.Is(err, upstream.ErrTooManyOpen) { // not the upstream's fault
		return &wsauth.Error{Reason: wsauth.Overloaded, Message: wsauth.Overloaded.Outcome().Text, Err: fmt.Errorf("route %s: %w", p.route.name(), err)}
	}
	reason := wsauth.BadGateway
	if errors.Is(err, upstream.ErrTimeout) || isTimeout(err) {
		reason = wsauth.GatewayTimeout
	}
	p.label.UpstreamFailed(string(reason))
	return &wsauth.Error{Reason: reason, Message: reason.Outcome().Text, Err: fmt.Errorf("route %s: %w", p.route.name(), err)}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// copyHeader copies an upstream's header without the connection's own fields.
func copyHeader(to, from http.Header) {
	for name, lines := range from {
		to[name] = lines
	}
	dropConnectionFields(to)
}

// hopByHop are the fields of a single connection (RFC 9110 section 7.6.1) that
// need not be listed in Connection. Upgrade is another, but is kept here.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Http2-Settings"}

// dropConnectionFields removes the fields that belong to a single connection:
// hopByHop, and those that Connection lists, except those of the handshake. It
// must be called before our own fields are set, so that clients cannot remove
// those (R10).
func dropConnectionFields(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if name != "Upgrade" && !strings.HasPrefix(name, "Sec-Websocket-") {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}
