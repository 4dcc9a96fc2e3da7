package proxy

import (
	"net/http"
	"net/url"
	"slices"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
)

// A Match is the result of matching a request against the routes: the route
// that serves it, or that the gateway answers it itself. It looks up the route
// when it is first needed, among the routes that were current when the Match
// was created.
type Match struct {
	// Own reports whether the gateway answers the path itself, regardless of
	// the routes.
	Own bool

	table *routeTable

	lookedUp bool
	key      routeKey // set with proxy
	proxy    *proxy   // see [Match.lookUp]

	compared bool
	bypassed *proxy // see [Match.findBypassed]
}

// Match returns the match of a request for the current routes.
func (rs *Routes) Match(r *http.Request) Match {
	t := rs.table.Load()
	return Match{Own: t.isOwn(r.URL.Path), table: t}
}

// lookUp returns the proxy of the path as written, or nil if there is none.
func (m *Match) lookUp(r *http.Request) *proxy {
	if !m.lookedUp {
		m.key = routeKeyOf(r)
		m.proxy = m.table.router.lookUp(m.key.host, m.key.path)
		m.lookedUp = true
	}
	return m.proxy
}

// findBypassed returns the proxy that r would bypass; see [router.bypassed].
func (m *Match) findBypassed(r *http.Request) *proxy {
	if p := m.lookUp(r); p != nil && !m.compared {
		m.bypassed = m.table.router.bypassed(m.key, p)
		m.compared = true
	}
	return m.bypassed
}

// IsExact reports whether a route has exactly the path of r.
func (m *Match) IsExact(r *http.Request) bool {
	p := m.lookUp(r)
	return p != nil && p.route.Path == r.URL.Path
}

// IsQuick reports whether the route can serve a handshake without blocking. It
// does not consider the steps of the guard.
func (m *Match) IsQuick(r *http.Request) bool {
	if m.Own || needsReadings(r.URL) {
		return false
	}
	p := m.lookUp(r)
	return p != nil && p.quick && (r.URL.RawQuery == "" || !p.takesTickets)
}

// isQuickRoute reports whether handshakes of the route can be quick; see
// [Match.IsQuick]. Signing an assertion takes a millisecond with some keys. A
// refresh token has to be looked up in the store.
func (p *proxy) isQuickRoute(extractors []wsauth.Extractor) bool {
	return p.pool.Near() && p.route.Assertion == "" && p.route.Requirement != wsauth.Refresh && (p.route.Public || !slices.ContainsFunc(extractors, takesLong))
}

// takesLong reports whether checking a credential from that extractor may take
// longer than verifying a token in the head of the request. It returns true for
// unknown types.
func takesLong(l wsauth.Extractor) bool {
	switch l.(type) {
	// A ticket is in the query, which [Match.IsQuick] checks.
	case wsauth.Header, wsauth.Query, wsauth.Subprotocol, wsauth.Cookies, wsauth.Ticket:
		return false
	}
	return true
}

func isTicket(l wsauth.Extractor) bool {
	_, ok := l.(wsauth.Ticket)
	return ok
}

var (
	nothingHere  = telemetry.Problem(http.StatusNotFound, "", "There is nothing at this address")
	loopDetected = telemetry.Problem(http.StatusLoopDetected, "loop_detected", "The server behind this address leads back to the gateway")
	noHost       = telemetry.Problem(http.StatusBadRequest, "invalid_request", "The Host field does not name one host")
)

// Serve serves a request by the route of m. It calls own for the gateway's own
// paths.
func (rs *Routes) Serve(w http.ResponseWriter, r *http.Request, m *Match, own http.Handler) {
	readings, ok := readPath(r)
	if !ok {
		ambiguous(w, r)
		return
	}
	if readings == nil && m.Own {
		own.ServeHTTP(w, r)
		return
	}
	if !httpx.IsHost(r.Host) {
		noHost(w, r)
		return
	}
	m.table.stripIdentity(r.Header)
	if rs.loops.isLoop(r) {
		rs.log.Warn("a request has looped: an upstream is this gateway itself, or leads to it", "path", r.URL.Path)
		loopDetected(w, r)
		return
	}
	p := m.lookUp(r)
	if readings != nil && (p == nil || !m.table.mayServe(m.key.host, p, readings)) {
		rs.refuseReadings(w, r, m)
		return
	}
	if p == nil {
		nothingHere(w, r)
		return
	}
	switch other := m.findBypassed(r); {
	case other == nil:
		p.ServeHTTP(w, r)
	case isTwin(r.URL.Path, other.route.Path) && r.URL.RawPath == "" && !httpx.AsksForUpgrade(r.Header):
		other.redirect(w, r)
	default:
		ambiguous(w, r)
	}
}

// redirect redirects a client to the path of the route, whose rules then
// apply. It keeps the query. The Location contains nothing else from the
// request, so it cannot lead to another host.
func (p *proxy) redirect(w http.ResponseWriter, r *http.Request) {
	telemetry.From(r.Context()).SetRoute(p.label)
	to := url.URL{Path: p.route.Path, RawQuery: r.URL.RawQuery}
	w.Header()["Content-Type"] = nil // the answer has no body
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
}
