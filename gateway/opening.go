package gateway

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
	"wsauth/internal/relay"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// An opening is a WebSocket that an upstream is asked for.
//
// Where an event loop can wait for the answer, the handler of the handshake returns at once, and the loop opens the socket when the
// answer has come. What may take longer than that, the loop leaves to a goroutine.
type opening struct {
	proxy   *proxy
	w       *wsconn.Response
	r       *http.Request
	session *wsauth.Socket
	begun   time.Time
	asked   *upstream.Asked
	watch   *watch // of the client
}

// begin asks the upstream, in a goroutine if the handler must not wait and that could take a while.
func (o *opening) begin() {
	o.w.Later()
	if !o.w.Hurried() {
		o.ask()
		return
	}
	asked, err := o.proxy.pool.AskNow(o.r.Context(), o.r)
	if err == nil {
		o.await(asked)
		return
	}
	go func() {
		defer o.recovered()
		if errors.Is(err, upstream.ErrWait) {
			o.ask()
			return
		}
		o.fail(err)
	}()
}

// ask asks the upstream.
func (o *opening) ask() {
	asked, err := o.proxy.pool.Ask(o.r.Context(), o.r)
	if err != nil {
		o.fail(err)
		return
	}
	o.await(asked)
}

// fail is the end of what no upstream can be asked for.
func (o *opening) fail(err error) {
	o.refuse(err)
	o.over()
	o.w.Conclude()
}

// await waits for the answer: by a loop if that can be.
func (o *opening) await(asked *upstream.Asked) {
	o.asked = asked
	o.watch = watchClient(o.w.Conn(), o.session)
	if !o.proxy.carrier.Await(o.w.Conn(), asked.Conn, relay.Answer{
		Patience: o.proxy.route.Response,
		Over:     func() bool { return o.r.Context().Err() != nil },
		First:    o.first,
	}) {
		o.later(func() { o.wait(nil, nil) })
	}
}

// later calls f, which may wait: in a goroutine where the caller must not.
func (o *opening) later(f func()) {
	if o.w.Hurried() {
		go f()
		return
	}
	f()
}

// first is called by a loop.
func (o *opening) first(data []byte, err error) {
	defer o.recovered()
	if err == nil && len(data) <= mostAtOnce && o.watch.idle() {
		if socket, ok := o.asked.Switched(data); ok {
			o.open(socket)
			o.over()
			return
		}
	}
	go o.wait(bytes.Clone(data), err)
}

// mostAtOnce is how much a fresh connection takes without waiting for the other end.
const mostAtOnce = 8 << 10

// wait waits for the upstream's answer, of which first has come already, and answers the client.
func (o *opening) wait(first []byte, err error) {
	defer o.recovered()
	defer o.w.Conclude()
	defer o.over()
	var socket *upstream.Socket
	if err == nil {
		socket, err = o.asked.Answer(o.r.Context(), first)
	} else {
		err = o.asked.Failed(o.r.Context(), err)
	}
	if len(o.watch.stop()) > 0 && err == nil {
		_ = socket.Close()
		err = errEarly()
	}
	switch {
	case err != nil:
		o.refuse(err)
	case socket.Response.StatusCode != http.StatusSwitchingProtocols:
		o.passOn(socket)
	default:
		o.open(socket)
	}
}

// open answers the client with 101, and ties it to the upstream.
func (o *opening) open(socket *upstream.Socket) {
	o.answered(socket)
	h := o.w.Header()
	copyHeader(h, socket.Response.Header)
	h.Set("Connection", "Upgrade")
	h.Del("Content-Length") // RFC 9110 section 8.6
	o.w.WriteHeader(http.StatusSwitchingProtocols)
	o.proxy.tie(o.r, o.w.Take(), socket, o.session, nil)
}

// passOn answers the client with what the upstream says instead of 101.
func (o *opening) passOn(socket *upstream.Socket) {
	defer socket.Close()
	defer context.AfterFunc(o.r.Context(), func() { _ = socket.Close() })()
	o.answered(socket)
	status := socket.Response.StatusCode
	recordOf(o.r.Context()).declined(status)
	copyHeader(o.w.Header(), socket.Response.Header)
	o.w.Header().Set("Connection", "close")
	o.w.WriteHeader(status)
	if _, err := io.Copy(o.w, socket.Response.Body); err != nil {
		o.w.Cut() // otherwise the end of the connection would be that of the answer
	}
}

// answered notes that the upstream has.
func (o *opening) answered(socket *upstream.Socket) {
	o.proxy.gateway.metrics.reached(o.proxy.route.name(), "websocket", time.Since(o.begun))
	o.proxy.keepLogin(socket.Response.Header)
	if cors := o.proxy.cors; cors != nil {
		cors.write(socket.Response.Header, o.r.Header["Origin"])
	}
}

// refuse answers a client whose upstream did not answer.
func (o *opening) refuse(err error) {
	if o.r.Context().Err() != nil {
		return // the session has ended, and says so itself
	}
	o.proxy.guard.Refuse(o.w, o.r, o.proxy.failure(err))
}

// over is the end of it.
func (o *opening) over() { recordOf(o.r.Context()).left(context.Cause(o.r.Context())) }

// recovered ends the socket, not the program, if it panics.
func (o *opening) recovered() {
	if v := recover(); v != nil {
		o.proxy.gateway.log.Error("panic while a socket was opened", "panic", v, "stack", string(debug.Stack()))
		o.session.End(wsauth.InternalError.End(fmt.Errorf("panic: %v", v)))
	}
}

// errEarly is for a client that did not wait for the answer.
func errEarly() error {
	return &wsauth.Error{Reason: wsauth.InvalidHandshake, Message: "Data came before the handshake was answered", Err: errors.New("data came before the answer")}
}
