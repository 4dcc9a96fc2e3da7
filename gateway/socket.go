package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/relay"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// serveSocket opens a WebSocket to the upstream for a client that may have one, and ties the two together. Only when the upstream
// has agreed does the client get its 101.
func (p *proxy) serveSocket(w *wsconn.Response, r *http.Request, session *wsauth.Socket) {
	dropConnectionFields(r.Header)
	if p.cors != nil {
		p.cors.write(w.Header(), r.Header["Origin"]) // for a refusal
	}
	o := &opening{proxy: p, w: w, r: r, session: session, begun: time.Now()}
	if session.Claims() == nil && !p.route.Public && p.route.Requirement != wsauth.Optional {
		defer o.over()
		p.introduce(w, r, session) // the token is to come in the first message
		return
	}
	if err := p.outgoing(r, r.Header, session.Claims()); err != nil {
		p.refuse(w, r, err)
		o.over()
		return
	}
	if p.announce != nil {
		name, value := p.announce(r.Context())
		r.Header[name] = []string{value}
	}
	o.begin()
}

// tie hands both connections to the relay, in the context of the session,
// which is that of r. fromClient is what the client has sent already.
func (p *proxy) tie(r *http.Request, conn net.Conn, socket *upstream.Socket, session *wsauth.Socket, fromClient []byte) {
	ctx := r.Context()
	record := recordOf(ctx)
	p.gateway.live.add(session, targetOf(r), p, socket.Address)
	record.opened()
	guarded := conn.(*wsconn.Conn) // what a guard's Hijack returns
	taken := guarded.Handover(func(bare net.Conn, closed func()) wsconn.Ender {
		return p.carrier.Carry(relay.Pair{
			Client:       bare,
			Upstream:     socket.Conn,
			FromClient:   fromClient,
			FromUpstream: socket.Early,
			Deflate:      socket.Deflate,
			MaxFrame:     bound(p.route.Limits.MaxFrame),
			MaxMessage:   bound(p.route.Limits.MaxMessage),
			Idle:         bound(p.route.Limits.Idle),
			Ping:         bound(p.route.Limits.Ping),
			MaxFragments: bound(p.route.Limits.MaxFragments),
			Fault: func(code int, reason, limit string) {
				session.End(faultOf(code, reason, limit))
			},
			Closed: func(result relay.Result) {
				p.gateway.live.remove(session)
				closed()
				record.ended(context.Cause(ctx), result)
			},
		})
	})
	if !taken {
		p.gateway.live.remove(session)
		_ = socket.Close() // the session has ended meanwhile
		// The end is under way, and may not have reached ctx yet.
		context.AfterFunc(ctx, func() { record.ended(context.Cause(ctx), relay.Result{By: relay.TheOwner}) })
	}
}

// faultOf is the end of a socket whose client broke a rule. Its reason names
// the key of the limit that was passed, so that whoever reads it knows what to
// set.
func faultOf(code int, reason, limit string) *wsauth.EndError {
	if limit == "" {
		return &wsauth.EndError{Code: code, Reason: reason, Err: errors.New("the client broke a rule, or was silent")}
	}
	key := "limits." + limit
	return &wsauth.EndError{Code: code, Reason: reason + ": " + key, Err: fmt.Errorf("the client sent more than %s of the route allows", key)}
}

// failure is the refusal for a request that the upstream did not answer.
func (p *proxy) failure(err error) *wsauth.Error {
	if refusal, ok := errors.AsType[*wsauth.Error](err); ok {
		return refusal
	}
	if errors.Is(err, upstream.ErrTooManyOpen) { // which is no failure of the upstream
		return &wsauth.Error{Reason: wsauth.Overloaded, Message: wsauth.Overloaded.Outcome().Text, Err: fmt.Errorf("route %s: %w", p.route.name(), err)}
	}
	reason := wsauth.BadGateway
	if errors.Is(err, upstream.ErrTimeout) || isTimeout(err) {
		reason = wsauth.GatewayTimeout
	}
	p.gateway.metrics.failed(p.route.name(), string(reason))
	return &wsauth.Error{Reason: reason, Message: reason.Outcome().Text, Err: fmt.Errorf("route %s: %w", p.route.name(), err)}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// copyHeader copies an upstream's header, without what belongs to its connection.
func copyHeader(to, from http.Header) {
	for name, lines := range from {
		to[name] = lines
	}
	dropConnectionFields(to)
}

// hopByHop are the fields of one connection (RFC 9110 section 7.6.1) that nobody need name in Connection. Upgrade is one, too,
// but is what this is about.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Http2-Settings"}

// dropConnectionFields removes what belongs to one connection: what Connection names, but for the handshake's own, and what
// always does. It comes before our own fields, so that no client can make us drop those (R10).
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
