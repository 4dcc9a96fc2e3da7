package proxy

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/upstream"
	"wsauth/internal/wsframe"
)

// maxIntroduction is how many bytes a client may send before it has
// authenticated. It bounds the client's first message.
const maxIntroduction = 64 << 10

// introduce opens the socket of a client that sends its token in the first
// message. It contacts the upstream only after the client has authenticated.
// The guard limits how long that may take. Messages that the client sends
// before it has the reply are held back; if the token is refused, they are
// dropped and the socket ends.
//
// The client gets its 101 before the upstream is asked, so nothing can be
// negotiated that depends on the upstream: there are no extensions, and the
// subprotocol is the first that the client offers. The upstream must choose
// the same one.
func (o *opening) introduce() {
	p, socket, h := o.proxy, o.socket, o.r.Header
	o.w.Conn().Limit(maxIntroduction, func() bool { return socket.Claims() == nil }, func() { socket.End(wsauth.MessageTooBig) })
	defer func() { telemetry.From(o.r.Context()).Unanswered(socket.Err()) }()
	protocol := httpx.Subprotocol(h["Sec-Websocket-Protocol"])
	wsframe.SetAccept(o.w.Header(), h.Get("Sec-WebSocket-Key"), protocol)
	h.Del("Sec-WebSocket-Extensions")
	h.Del("Sec-WebSocket-Protocol")
	if protocol != "" {
		h.Set("Sec-WebSocket-Protocol", protocol)
	}
	o.w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := o.w.Hijack()
	if err != nil {
		p.routes.log.Error("cannot take over a guarded connection", "error", err)
		return
	}
	message, fault, err := wsframe.ReadText(buffered.Reader, conn, maxIntroduction)
	switch {
	case fault != nil:
		socket.EndWith(&wsauth.EndError{Code: fault.Code, Reason: wsauth.Reason(fault.Reason), Err: errors.New("the first message is not a valid text message")})
		return
	case err != nil:
		// The client left, or the socket is already ending.
		socket.EndWith(&wsauth.EndError{Code: 1000, Reason: "closed", Err: err})
		return
	}
	reply, err := socket.Authenticate(socket.Context(), message)
	if err != nil {
		return // Authenticate has ended the socket
	}
	// Data that arrived with the first message is not an error: how much it is
	// depends on how the network split it. It goes to the upstream, like
	// everything after it.
	more, _ := buffered.Peek(buffered.Reader.Buffered()) // Peek cannot fail for buffered data
	if err := p.outgoing(o.r, h, socket.Claims()); err != nil {
		socket.EndWith(&wsauth.EndError{Reason: wsauth.TokenInvalid, Err: err})
		return
	}
	telemetry.From(o.r.Context()).SetClaims(socket.Claims())
	if p.isOutdated(socket, routeKeyOf(o.r)) {
		socket.EndWith(&wsauth.EndError{Reason: wsauth.Restarting, Err: errRouteChanged})
		return
	}
	backend, early, err := o.dial()
	if err == nil && (backend.Response.StatusCode != http.StatusSwitchingProtocols || backend.Response.Header.Get("Sec-WebSocket-Protocol") != protocol) {
		_ = backend.Close()
		err = errors.New("the upstream did not choose the client's subprotocol")
	}
	if err != nil {
		failure := p.failure(err)
		socket.EndWith(&wsauth.EndError{Reason: failure.Reason, Err: failure})
		return
	}
	// A graphql-transport-ws client has authenticated with connection_init.
	// The upstream expects that message as well, and sends the acknowledgement
	// itself.
	var first []byte
	if bytes.Contains(reply, []byte(`"connection_ack"`)) {
		first = wsframe.AppendMaskedText(nil, []byte(`{"type":"connection_init"}`))
	} else if _, err := conn.Write(wsframe.AppendText(nil, reply)); err != nil {
		_ = backend.Close()
		_ = conn.Close()
		return
	}
	o.startRelay(backend, slices.Concat(first, more, early))
}

// dial opens the socket at the upstream, and gives up if the client
// disconnects. early is the data that the client sent in the meantime.
func (o *opening) dial() (backend *upstream.Socket, early []byte, err error) {
	started := time.Now()
	watch := watchClient(o.w.Conn(), o.socket)
	backend, err = o.proxy.pool.Open(o.socket.Context(), o.r)
	early = watch.stop()
	if err == nil {
		o.proxy.label.UpstreamAnswered("websocket", time.Since(started))
	}
	return backend, early, err
}
