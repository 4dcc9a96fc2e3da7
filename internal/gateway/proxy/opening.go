package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"wsauth"
	"wsauth/internal/eventloop"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// An opening is the handshake of a socket that the guard has admitted, until
// it is answered.
//
// If an event loop can wait for the upstream's answer, begin returns at once,
// and the loop opens the socket when the answer arrives. Work that may block
// is moved from the loop to a goroutine.
type opening struct {
	proxy   *proxy
	w       *wsconn.Response
	r       *http.Request // without its credential
	socket  *wsauth.Socket
	waits   bool // the client sends its token in the first message
	started time.Time
	pending *upstream.PendingHandshake
	watch   *watch // watches the client
}

// begin makes the upstream's handshake from the client's, and sends it.
func (o *opening) begin() {
	defer o.recovered()
	o.w.Unanswered(func() {
		if err := o.socket.Err(); err != nil {
			o.proxy.guard.Refuse(o.w, o.r, err)
		}
	})
	dropConnectionFields(o.r.Header)
	if cors := o.proxy.cors; cors != nil {
		cors.write(o.w.Header(), o.r.Header["Origin"]) // in case the handshake is refused
	}
	if o.waits {
		o.introduce()
		return
	}
	if err := o.proxy.outgoing(o.r, o.r.Header, o.socket.Claims()); err != nil {
		o.fail(refuseClaims(err))
		return
	}
	if local := o.proxy.local; local != nil {
		name, value := local.Announce(o.socket.Context())
		o.r.Header[name] = []string{value}
	}
	o.ask()
}

// ask sends the handshake to the upstream. It uses a goroutine if sending
// might block and the caller is an event loop.
func (o *opening) ask() {
	if !o.w.OnLoop() {
		o.askBlocking()
		return
	}
	pending, err := o.proxy.pool.AskNow(o.r.Context(), o.r)
	switch {
	case err == nil:
		o.await(pending)
	case errors.Is(err, upstream.ErrWait):
		go o.askBlocking()
	default:
		o.fail(err)
	}
}

// askBlocking sends the handshake to the upstream. It may block.
func (o *opening) askBlocking() {
	defer o.recovered()
	pending, err := o.proxy.pool.Ask(o.socket.Context(), o.r)
	if err != nil {
		o.fail(err)
		return
	}
	o.await(pending)
}

// fail refuses the handshake and records that it has ended.
func (o *opening) fail(err error) {
	o.refuse(err)
	o.conclude()
}

// await waits for the upstream's answer, on an event loop if possible.
func (o *opening) await(pending *upstream.PendingHandshake) {
	o.pending = pending
	o.watch = watchClient(o.w.Conn(), o.socket)
	if o.proxy.routes.config.Events.Await(pending.Conn, o.w.Conn(), eventloop.Wait{
		Limit:    o.proxy.route.Response,
		Receiver: o,
		Canceled: func() bool { return o.socket.Err() != nil },
	}) {
		return
	}
	if o.w.OnLoop() {
		go o.wait(nil, nil)
		return
	}
	o.wait(nil, nil)
}

// mostAtOnce is how many bytes can be written to a new connection without
// waiting for the peer.
const mostAtOnce = 8 << 10

// Received implements [eventloop.Receiver] for the beginning of the upstream's
// answer. It opens the socket if that needs no waiting, and otherwise starts a
// goroutine.
func (o *opening) Received(data []byte, _ bool, err error) (more time.Duration) {
	defer o.recovered()
	if err == nil && len(data) <= mostAtOnce && o.watch.idle() {
		if backend, ok := o.pending.Switched(data); ok {
			o.open(backend)
			return 0
		}
	}
	go o.wait(bytes.Clone(data), err)
	return 0
}

// wait waits for the rest of the upstream's answer, which begins with first,
// and answers the client. err is the error with which reading has failed, if
// any.
func (o *opening) wait(first []byte, err error) {
	defer o.recovered()
	ctx := o.socket.Context()
	var backend *upstream.Socket
	if err == nil {
		backend, err = o.pending.Answer(ctx, first)
	} else {
		err = o.pending.Failed(ctx, err)
	}
	if len(o.watch.stop()) > 0 && err == nil {
		_ = backend.Close()
		err = errEarly()
	}
	switch {
	case err != nil:
		o.fail(err)
	case backend.Response.StatusCode != http.StatusSwitchingProtocols:
		o.passOn(backend)
		o.conclude()
	default:
		o.open(backend)
	}
}

// open answers the client with 101 and connects it to the upstream.
func (o *opening) open(backend *upstream.Socket) {
	o.answered(backend)
	h := o.w.Header()
	copyHeader(h, backend.Response.Header)
	h.Set("Connection", "Upgrade")
	h.Del("Content-Length") // RFC 9110 section 8.6
	o.w.WriteHeader(http.StatusSwitchingProtocols)
	o.startRelay(backend, nil)
}

// passOn passes an upstream's answer other than 101 on to the client.
func (o *opening) passOn(backend *upstream.Socket) {
	defer backend.Close()
	defer context.AfterFunc(o.socket.Context(), func() { _ = backend.Close() })()
	o.answered(backend)
	status := backend.Response.StatusCode
	telemetry.From(o.r.Context()).Declined(status)
	copyHeader(o.w.Header(), backend.Response.Header)
	o.w.Header().Set("Connection", "close")
	o.w.WriteHeader(status)
	if _, err := io.Copy(o.w, backend.Response.Body); err != nil {
		o.w.Cut() // otherwise the client would mistake the truncated answer for a complete one
	}
}

// answered records that the upstream has answered, and sets the headers that
// the gateway controls.
func (o *opening) answered(backend *upstream.Socket) {
	o.proxy.label.UpstreamAnswered("websocket", time.Since(o.started))
	o.proxy.protectLogin(backend.Response.Header)
	if cors := o.proxy.cors; cors != nil {
		cors.write(backend.Response.Header, o.r.Header["Origin"])
	}
}

// refuse answers a client whose upstream did not answer. It does nothing if
// the socket has ended: conclude answers then.
func (o *opening) refuse(err error) {
	if o.socket.Err() == nil {
		o.proxy.guard.Refuse(o.w, o.r, o.proxy.failure(err))
	}
}

// conclude records the outcome of a handshake that opens no socket, and closes
// the connection.
func (o *opening) conclude() {
	telemetry.From(o.r.Context()).Unanswered(o.socket.Err())
	o.w.Finish()
}

// recovered recovers from a panic, logs it, and ends the socket.
func (o *opening) recovered() {
	if v := recover(); v != nil {
		o.proxy.routes.log.Error("panic while a socket was opened", "panic", v, "stack", string(debug.Stack()))
		o.socket.EndWith(&wsauth.EndError{Reason: wsauth.InternalError, Err: fmt.Errorf("panic: %v", v)})
		o.conclude()
	}
}

// errEarly returns the refusal of a client that sent data before its handshake
// was answered.
func errEarly() error {
	return &wsauth.Error{Reason: wsauth.InvalidHandshake, Message: "Data came before the handshake was answered", Err: errors.New("data came before the answer")}
}
