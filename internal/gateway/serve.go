package gateway

import (
	"context"
	"net"
	"net/http"

	"wsauth"
	"wsauth/internal/connlimit"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
)

// Serve serves the connections of l until ctx is done. Then it drains: it
// accepts no more connections, ends every socket with close code 1012, one
// after the other, and returns when all connections have ended, or after
// [front.Config.Drain] at the latest. It returns nil if they have all ended, an
// error that wraps context.DeadlineExceeded if not, and the error of l if
// accepting fails. It closes l.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error { return g.front.Serve(ctx, l) }

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.front.ServeHTTP(w, r) }

// serveRequest serves a request that net/http has read; see [front.Config].
func (g *Gateway) serveRequest(w http.ResponseWriter, r *http.Request, place *connlimit.Place) {
	g.serve(w, r, place, g.routes.Match(r))
}

// serveHandshake serves a handshake that an event loop has read; see
// [front.Config]. If the loop has little else to do and no step can block, it
// serves the handshake itself.
func (g *Gateway) serveHandshake(h *front.Handshake, r *http.Request) {
	if h.IsIdle() {
		if m, ok := g.quickMatch(r); ok {
			defer h.Finish()
			h.SetOnLoop()
			g.serve(h, r, h.Place(), m)
			return
		}
	}
	go func() {
		defer h.Finish()
		g.serve(h, r, h.Place(), g.routes.Match(r))
	}()
}

// quickMatch returns the match of a handshake if no step of serving it can
// block: keys, tickets, revocations and limits need no other server, and the
// upstream is on this machine. The handshake must then be served by the routes
// of m, because the current routes may have changed in the meantime.
//
// quickMatch returns false if it panics, so that the event loop continues. The
// goroutine that then serves the handshake panics in the same place, and
// [front.Handshake.Finish] logs it.
func (g *Gateway) quickMatch(r *http.Request) (m proxy.Match, ok bool) {
	if len(g.config.Tokens.Providers) > 0 || g.config.Cluster != nil || g.guard.Ready() != nil {
		return m, false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	m = g.routes.Match(r)
	return m, m.IsQuick(r)
}

// serve answers a request by the routes of m, and records its outcome. The
// client of r must have been identified.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, place *connlimit.Place, m proxy.Match) {
	x := g.recorder.Start(r, httpx.AsksForUpgrade(r.Header))
	ctx := r.Context()
	if x.IsUpgrade() {
		ctx = front.SocketContext(ctx)
	}
	r = r.WithContext(telemetry.With(ctx, x))
	var body *proxy.RequestBody
	if !x.IsUpgrade() {
		body = proxy.NewRequestBody(r)
	}
	g.answer(&telemetry.ResponseWriter{ResponseWriter: w, Record: x}, r, place, m, x)
	body.Linger(w)
}

// answer answers a request. The steps that need no route come first, but every
// answer has the CORS headers of the route.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, place *connlimit.Place, m proxy.Match, x *telemetry.Record) {
	defer x.HandlerReturned()
	isHealth := telemetry.IsHealth(r.URL.Path) && !m.IsExact(r)
	cors := g.routes.CORSOf(r, &m, isHealth)
	bare := w
	w = cors.Wrap(w, r)
	if fault := problem.CheckHead(w, r, g.maxHeaders); fault != nil {
		telemetry.AnswerProblem(w, r, *fault)
		return
	}
	if isHealth {
		g.health.ServeHTTP(w, r)
		return
	}
	admission := g.front.Admit(r, place, x.IsUpgrade())
	if !admission.OK {
		refuseOverloaded(w, r, x, admission.Close)
		return
	}
	defer func() { admission.End(x.IsHijacked()) }()
	switch {
	case g.routes.AnswerPreflight(bare, r, cors):
	case g.demo != nil:
		g.own.ServeHTTP(w, r)
	default:
		g.routes.Serve(w, r, &m, g.own)
	}
}

// refuseOverloaded refuses a request because too many connections are open.
// closes reports whether the connection must be closed afterwards.
func refuseOverloaded(w http.ResponseWriter, r *http.Request, x *telemetry.Record, closes bool) {
	x.Refused(errOverloaded)
	if closes {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Retry-After", "1")
	overloaded(w, r)
}

var (
	errOverloaded = &wsauth.Error{Reason: wsauth.Overloaded, Message: wsauth.Overloaded.Outcome().Text}
	overloaded    = telemetry.Problem(wsauth.Overloaded.Outcome().Status, string(wsauth.Overloaded), errOverloaded.Message)
)

// An observer receives the events of the guard.
type observer struct {
	telemetry.Observer
	gateway *Gateway
}

// Renewed ends a socket that may not stay open with its new claims.
func (o observer) Renewed(s *wsauth.Socket) { o.gateway.routes.Renewed(s) }
