package gateway

import (
	"context"
	"net"
	"net/http"
	"time"

	"wsauth"
	"wsauth/internal/connlimit"
	"wsauth/internal/gateway/front"
)

// Serve serves the connections of l until ctx is done. Then it drains: it
// accepts no more connections, ends every socket with close code 1012, one
// after the other, and returns when all connections have ended, or after
// [Config.Drain] at the latest. It returns nil if they have all ended, an
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
	if !h.IsIdle() {
		go func() { g.finishHandshake(h, r, g.routes.Match(r)) }()
		return
	}
	m := g.routes.Match(r)
	if !g.isQuick(r, m) {
		go g.finishHandshake(h, r, m)
		return
	}
	h.Hurry()
	g.finishHandshake(h, r, m)
}

// isQuick reports whether no step of serving a handshake can block: keys,
// tickets and revocations need no other server, and the upstream is on this
// machine. That holds for the routes of m only, so these must serve it.
func (g *Gateway) isQuick(r *http.Request, m Match) bool {
	return m.IsQuick(r) && !g.hasProviders && g.guard.Ready() == nil
}

// finishHandshake answers a handshake that an event loop has read.
func (g *Gateway) finishHandshake(h *front.Handshake, r *http.Request, m Match) {
	defer h.Finish()
	g.serve(h, r, h.Place(), m)
}

// serve answers a request, whose client has been identified, by the routes of
// m, and records its outcome.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, place *connlimit.Place, m Match) {
	x := &record{gateway: g, begun: time.Now(), route: g.metrics.elsewhere, upgrade: asksForUpgrade(r)}
	if g.access {
		x.line = newLine(r)
	}
	r = r.WithContext(context.WithValue(x.context(r), recordKey{}, x))
	body := (*requestBody)(nil)
	if !x.upgrade {
		body = newRequestBody(r)
	}
	g.answer(&recorder{w, x}, r, place, m, x)
	body.linger(w)
}

// answer answers a request. The steps that need no route come first, but every
// answer has the CORS headers of the route.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, place *connlimit.Place, m Match, x *record) {
	defer x.answered()
	isHealth := isHealth(r.URL.Path) && !m.IsExact(r)
	cors := g.routes.CORSOf(r, m, isHealth)
	bare := w
	w = cors.Wrap(w, r)
	if refuse := g.head.check(r); refuse != nil {
		refuse(w, r)
		return
	}
	if isHealth {
		g.health.ServeHTTP(w, r)
		return
	}
	admission := g.front.Admit(r, place, x.upgrade)
	if !admission.OK {
		refuseOverloaded(w, r, x, admission.Close)
		return
	}
	defer func() { admission.End(x.taken) }()
	switch {
	case g.routes.AnswerPreflight(bare, r, cors):
	case g.demo != nil:
		g.own.ServeHTTP(w, r)
	default:
		g.routes.Serve(w, r, m, g.own)
	}
}

// refuseOverloaded refuses a request because too many connections are open.
func refuseOverloaded(w http.ResponseWriter, r *http.Request, x *record, closes bool) {
	x.refused(errOverloaded)
	if closes {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Retry-After", "1")
	overloaded(w, r)
}

var (
	errOverloaded = &wsauth.Error{Reason: wsauth.Overloaded, Message: wsauth.Overloaded.Outcome().Text}
	overloaded    = problemHandler(wsauth.Overloaded.Outcome().Status, string(wsauth.Overloaded), errOverloaded.Message)
)
