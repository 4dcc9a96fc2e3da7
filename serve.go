package wsauth

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"runtime"
	"runtime/debug"

	"wsauth/internal/httpx"
	"wsauth/internal/wsconn"
	"wsauth/token"
)

// Require returns a middleware that lets only requests that satisfy q reach
// the handler, both plain HTTP requests and WebSocket handshakes. The handler
// may use any WebSocket library: the guard ends the sockets that it opens.
//
// The handler gets the claims from [ClaimsFrom], and its socket from
// [SocketFrom].
//
// The handler of a handshake runs in a goroutine of its own, with an
// [http.ResponseWriter] of the guard. The context of its request is
// [Socket.Context], which is canceled when the socket ends. A middleware
// outside the guard therefore sees only the handshake, and returns before the
// handler does. A middleware that recovers from panics, or measures or counts
// sockets, belongs inside the guard.
//
// Require panics if q is not one of the four requirements.
func (g *Guard) Require(q Requirement) func(http.Handler) http.Handler {
	if !q.valid() {
		panic(fmt.Sprintf("wsauth: Require(%v)", q))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = g.proxies.Remember(r)
			claims, err := g.Check(r, q)
			switch {
			case err != nil:
				g.Refuse(w, r, err)
			case isUpgrade(r):
				g.serveSocket(w, r, q, claims, next)
			default:
				g.servePlain(w, r, q, claims, next)
			}
		})
	}
}

// servePlain calls the handler of a plain HTTP request, without its
// credential.
func (g *Guard) servePlain(w http.ResponseWriter, r *http.Request, q Requirement, claims *token.Claims, next http.Handler) {
	s := g.newSocket(r, q, claims)
	defer s.release()
	r = g.extractors.stripped(s.context.get(context.WithValue(r.Context(), socketKey{}, s)), r)
	if g.config.Authorize != nil {
		s.kept = keepPlain(r)
	}
	httpx.StripUpgrade(r.Header)
	next.ServeHTTP(w, r)
}

// serveSocket takes the connection of a handshake from net/http, admits the
// socket, and calls the handler in a new goroutine. The goroutine of net/http
// ends here, with the stack and the buffers that it has grown, which makes an
// idle socket smaller ("go run ./bench memory" measures this). If net/http did
// not read the handshake, the handler is called in the current goroutine.
func (g *Guard) serveSocket(w http.ResponseWriter, r *http.Request, q Requirement, claims *token.Claims, next http.Handler) {
	response, s := wsconn.Accept(w, g.paused, func(response *wsconn.Response) (*Socket, error) {
		if response.IsEarly() {
			return nil, refuseWith(InvalidHandshake, "Data came before the handshake was answered")
		}
		return g.Admit(r, q, claims, response.Conn())
	}, func(w http.ResponseWriter, err error) { g.Refuse(w, r, err) })
	if response == nil {
		return
	}
	if name := g.extractors.subprotocol(r); name != "" {
		response.Conn().ChooseSubprotocol(name)
	}
	if s.waits {
		response.Conn().Limit(maxFirstMessage, func() bool { return s.Claims() == nil }, func() { s.End(MessageTooBig) })
	}
	stripped := g.extractors.stripped(s.Context(), r)
	stripped.Body = http.NoBody
	if response.NeedsGoroutine() {
		go s.serve(next, response, stripped)
		return
	}
	s.serve(next, response, stripped)
}

// serve calls the handler as net/http does: a panic is logged and ends only
// the connection, not the program.
func (s *Socket) serve(next http.Handler, response *wsconn.Response, r *http.Request) {
	defer func() {
		v := recover()
		if v == nil {
			s.finish(response, r)
			return
		}
		if v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
			logPanic(r, v)
		}
		if !response.Hijacked() {
			_ = response.Conn().Close()
			return
		}
		s.EndWith(&EndError{Reason: InternalError, Err: errors.New("the handler panicked")})
	}()
	growStack(false)
	next.ServeHTTP(response, r)
}

// finish ends the response of a handler that has returned. If the socket has
// ended and the handler has not answered, finish refuses the handshake.
func (s *Socket) finish(response *wsconn.Response, r *http.Request) {
	if response.Hijacked() {
		return
	}
	response.Unanswered(func() {
		if err := s.Err(); err != nil {
			s.guard.Refuse(response, r, err)
		}
	})
	response.Finish()
}

// growStack grows the stack of a new goroutine to the size that a WebSocket
// library needs for an upgrade. Growing it step by step, with a copy at each
// step, takes 3 % of a handshake ("go run ./bench handshake" measures this).
// The stack grows when growStack is called; unless use is set, the room is not
// even cleared.
//
//go:noinline
func growStack(use bool) {
	if use {
		var room [5 << 10]byte
		runtime.KeepAlive(&room)
	}
}

// logPanic logs a panic where net/http would log it.
func logPanic(r *http.Request, v any) {
	logf := log.Printf
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ErrorLog != nil {
		logf = srv.ErrorLog.Printf
	}
	logf("wsauth: panic serving %s: %v\n%s", r.RemoteAddr, v, debug.Stack())
}
