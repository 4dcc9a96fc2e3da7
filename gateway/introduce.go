package gateway

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/internal/upstream"
	"wsauth/internal/wsframe"
)

// maxIntroduction is how many bytes a client may send before it has
// authenticated, and so how long its first message may be.
const maxIntroduction = 64 << 10

// introduce opens the socket of a client that sends its token in the first
// message, and asks the upstream only when that has authenticated it. The
// guard bounds how long the client may take. Messages that follow without
// waiting for the reply are held back until then; a token that is refused ends
// the socket with them.
//
// The client gets its 101 before the upstream is asked, so nothing can be
// agreed that only the upstream knows: there are no extensions, and the
// subprotocol is the first that the client offers, which the upstream has to
// choose as well.
func (o *opening) introduce() {
	p, socket, h := o.proxy, o.socket, o.r.Header
	o.w.Conn().Limit(maxIntroduction, func() bool { return socket.Claims() == nil }, func() { socket.End(wsauth.MessageTooBig.End(nil)) })
	defer func() { recordOf(o.r.Context()).left(socket.Err()) }()
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
		p.gateway.log.Error("cannot take a guarded connection over", "error", err)
		return
	}
	message, fault, err := wsframe.ReadText(buffered.Reader, conn, maxIntroduction)
	switch {
	case fault != nil:
		socket.End(&wsauth.EndError{Code: fault.Code, Reason: fault.Reason, Err: errors.New("the first message is none")})
		return
	case err != nil:
		socket.End(&wsauth.EndError{Code: 1000, Reason: "closed", Err: err}) // the client has left, or the socket is ending already
		return
	}
	reply, err := socket.Authenticate(socket.Context(), message)
	if err != nil {
		return // it has ended the socket
	}
	// How much more has come by now depends on how the network has cut it, so
	// it is no fault: it goes to the upstream, as what comes next does.
	more, _ := buffered.Peek(buffered.Reader.Buffered()) // what is buffered cannot fail
	if err := p.outgoing(o.r, h, socket.Claims()); err != nil {
		socket.End(wsauth.TokenInvalid.End(err))
		return
	}
	recordOf(o.r.Context()).line.known(socket.Claims())
	if p.outdated(socket, targetOf(o.r)) {
		socket.End(wsauth.Restarting.End(errors.New("its route is gone, or lets it in no more")))
		return
	}
	backend, early, err := o.dial()
	if err == nil && (backend.Response.StatusCode != http.StatusSwitchingProtocols || backend.Response.Header.Get("Sec-WebSocket-Protocol") != protocol) {
		_ = backend.Close()
		err = errors.New("the upstream did not open the socket with the subprotocol that the client has")
	}
	if err != nil {
		failure := p.failure(err)
		socket.End(failure.Reason.End(failure))
		return
	}
	// A client of graphql-transport-ws has authenticated with a message that
	// the upstream waits for as well, and acknowledges itself.
	var first []byte
	if bytes.Contains(reply, []byte(`"connection_ack"`)) {
		first = wsframe.AppendMaskedText(nil, []byte(`{"type":"connection_init"}`))
	} else if _, err := conn.Write(wsframe.AppendText(nil, reply)); err != nil {
		_ = backend.Close()
		_ = conn.Close()
		return
	}
	o.tie(backend, slices.Concat(first, more, early))
}

// dial asks the upstream for the socket as long as the client is there. early
// is what that was seen to send meanwhile.
func (o *opening) dial() (backend *upstream.Socket, early []byte, err error) {
	begun := time.Now()
	watch := watchClient(o.w.Conn(), o.socket)
	backend, err = o.proxy.pool.Open(o.socket.Context(), o.r)
	early = watch.stop()
	if err == nil {
		o.proxy.gateway.metrics.reached(o.proxy.route.name(), "websocket", time.Since(begun))
	}
	return backend, early, err
}
