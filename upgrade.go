package wsauth

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"wsauth/internal/httpx"
	"wsauth/internal/wsconn"
)

// serve hands a request that passed to the handler, with its session in the
// context and without its credential.
func (g *Guard) serve(w http.ResponseWriter, r *http.Request, p pass, next http.Handler) {
	if isUpgrade(r) {
		g.upgrade(w, r, p, next)
		return
	}
	ctx, s := g.newSocket(r.Context(), r, p)
	defer s.release()
	r = g.stripped(ctx, r)
	httpx.StripUpgrade(r.Header)
	next.ServeHTTP(w, r)
}

// upgrade takes the connection from net/http and runs the handler on it, in a
// goroutine of its own: net/http's goroutine, with the stack and the buffers
// that it grew, ends here, which makes an idle socket smaller ("go run ./bench
// memory" tells how much). A wsconn.Direct has nothing of that kind.
//
// The request's context outlives net/http's for the same reason. It keeps its
// values, and ends with the session.
func (g *Guard) upgrade(w http.ResponseWriter, r *http.Request, p pass, next http.Handler) {
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		g.Refuse(w, r, refuse(InternalError, fmt.Errorf("cannot take the connection over: %w; is this HTTP/2, or does a middleware in front of the guard hide http.Hijacker?", err)))
		return
	}
	ctx, s := g.newSocket(context.WithoutCancel(r.Context()), r, p)
	s.timer = time.AfterFunc(noEnd, s.timedOut)
	s.conn = wsconn.New(raw, s.closed)
	s.conn.HoldWhile(g.Paused)
	if p.waits {
		s.conn.Limit(maxFirstMessage, func() { s.End(MessageTooBig.End(nil)) })
	}
	response := wsconn.NewResponse(s.conn)
	if name := g.marker(r); name != "" {
		s.conn.ChooseSubprotocol(name)
	}
	stripped := g.stripped(ctx, r)
	stripped.Body = http.NoBody
	if g.config.Authorize != nil {
		s.request = g.stripped(ctx, r) // the other one is the handler's to change
		s.request.Body = http.NoBody
	}
	if err := g.admit(s, buffered.Reader.Buffered()); err != nil {
		s.timer.Stop()
		g.sockets.forget(s)
		g.Refuse(response, r, err)
		go response.Finish()
		return
	}
	response.Opener((*opener)(s))
	response.Unanswered(func() { g.answerEnd(response, stripped, s.end.Load()) })
	if direct, ok := wsconn.AsDirect(w); ok {
		if direct.Hurried() {
			response.Hurry()
		}
		run(next, response, stripped, s)
		return
	}
	go run(next, response, stripped, s)
}

// run calls the handler as net/http would: a panic is logged and ends the
// connection, not the program.
func run(next http.Handler, response *wsconn.Response, r *http.Request, s *Socket) {
	defer func() {
		v := recover()
		if v == nil {
			response.Finish()
			return
		}
		if v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
			logPanic(r, v)
		}
		if !response.Hijacked() {
			_ = s.conn.Close()
			return
		}
		s.End(InternalError.End(errors.New("the handler panicked")))
	}()
	growStack()
	next.ServeHTTP(response, r)
}

// growStack makes room for a library's upgrade on the stack of a goroutine that
// is still empty. Growing it step by step, each time with a copy of what is
// there, takes 3 % of a handshake; "go run ./bench handshake" tells.
//
//go:noinline
func growStack() {
	var room [5 << 10]byte
	runtime.KeepAlive(&room)
}

// logPanic logs where net/http would.
func logPanic(r *http.Request, v any) {
	logf := log.Printf
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ErrorLog != nil {
		logf = srv.ErrorLog.Printf
	}
	logf("wsauth: panic serving %s: %v\n%s", r.RemoteAddr, v, debug.Stack())
}

func (g *Guard) newSocket(parent context.Context, r *http.Request, p pass) (context.Context, *Socket) {
	s := &Socket{guard: g, requirement: p.requirement, begun: time.Now(), remote: g.client(r).Addr, waits: p.waits}
	s.setClaims(p.claims)
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, socketKey{}, s))
	s.ctx, s.cancel = ctx, cancel
	return ctx, s
}

// stripped is r with the context ctx and without its credentials. The original
// keeps them, for handlers in front of the guard.
func (g *Guard) stripped(ctx context.Context, r *http.Request) *http.Request {
	r = r.Clone(ctx)
	g.strip(r)
	return r
}
