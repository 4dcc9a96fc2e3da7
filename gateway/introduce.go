package gateway

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/internal/upstream"
	"wsauth/internal/wsframe"
)

// maxIntroduction is how long the message may be in which a client says who it is.
const maxIntroduction = 64 << 10

// introduce opens the socket of a client that is to say in its first message who it is, and reaches the upstream only when that
// is known. The guard bounds what the client may send until then, and the time that it has. A client that does not wait for the word
// that it is known has its further messages held back until it is; a token that is refused ends the socket with them.
//
// The client gets its 101 before the upstream is asked, so nothing can be agreed that only the upstream knows: there are no
// extensions, and the subprotocol is the first that the client offers, which the upstream has to choose as well.
func (p *proxy) introduce(w http.ResponseWriter, r *http.Request, session *wsauth.Socket) {
	protocol := httpx.Subprotocol(r.Header["Sec-Websocket-Protocol"])
	wsframe.SetAccept(w.Header(), r.Header.Get("Sec-WebSocket-Key"), protocol)
	r.Header.Del("Sec-WebSocket-Extensions")
	r.Header.Del("Sec-WebSocket-Protocol")
	if protocol != "" {
		r.Header.Set("Sec-WebSocket-Protocol", protocol)
	}
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.gateway.log.Error("cannot take a guarded connection over", "error", err)
		return
	}
	message, fault, err := wsframe.ReadText(buffered.Reader, conn, maxIntroduction)
	switch {
	case fault != nil:
		session.End(&wsauth.EndError{Code: fault.Code, Reason: fault.Reason, Err: errors.New("the first message is none")})
		return
	case err != nil:
		session.End(&wsauth.EndError{Code: 1000, Reason: "closed", Err: err}) // the client has left, or the session is ending already
		return
	}
	reply, err := session.Authenticate(r.Context(), message)
	if err != nil {
		return // it has ended the session
	}
	// Whether more has come by now depends on how the network has cut it, so it is no fault: it goes to the upstream, as what comes
	// next does.
	more, _ := buffered.Peek(buffered.Reader.Buffered()) // what is buffered cannot fail
	if err := p.outgoing(r, r.Header, session.Claims()); err != nil {
		session.End(wsauth.TokenInvalid.End(err))
		return
	}
	recordOf(r.Context()).line.known(session)
	if p.outdated(session, targetOf(r)) {
		session.End(wsauth.Restarting.End(errors.New("its route is gone, or lets it in no more")))
		return
	}
	socket, early, err := p.dial(conn, r, session)
	if err == nil && (socket.Response.StatusCode != http.StatusSwitchingProtocols || socket.Response.Header.Get("Sec-WebSocket-Protocol") != protocol) {
		_ = socket.Close()
		err = errors.New("the upstream did not open the socket with the subprotocol that the client has")
	}
	if err != nil {
		failure := p.failure(err)
		session.End(failure.Reason.End(failure))
		return
	}
	// The client of graphql-transport-ws has said who it is in a message that the upstream waits for as well, and whose
	// acknowledgement is the upstream's to give.
	var first []byte
	if bytes.Contains(reply, []byte(`"connection_ack"`)) {
		first = wsframe.AppendMaskedText(nil, []byte(`{"type":"connection_init"}`))
	} else if _, err := conn.Write(wsframe.AppendText(nil, reply)); err != nil {
		_ = socket.Close()
		_ = conn.Close()
		return
	}
	p.tie(r, conn, socket, session, slices.Concat(first, more, early))
}

// dial asks the upstream for the socket that r asks for, as long as its client is there. early is what that was seen to send meanwhile.
func (p *proxy) dial(client net.Conn, r *http.Request, session *wsauth.Socket) (socket *upstream.Socket, early []byte, err error) {
	begun := time.Now()
	watch := watchClient(client, session)
	socket, err = p.pool.Open(r.Context(), r)
	early = watch.stop()
	if err == nil {
		p.gateway.metrics.reached(p.route.name(), "websocket", time.Since(begun))
	}
	return socket, early, err
}
