package proxy

import (
	"net/http"
	"net/url"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
)

// A Match is what the routes decide about a request: which of them serves it,
// or whether the gateway answers it itself.
type Match struct {
	// Own reports whether the gateway answers the path itself, regardless of
	// the routes.
	Own bool

	table    *routeTable
	proxy    *proxy // of the path as written; nil if there is none
	bypassed *proxy // see [router.bypassed]; nil if Own
}

// Match returns the match of a request for the current routes.
func (rs *Routes) Match(r *http.Request) Match {
	m := Match{table: rs.table.Load()}
	m.Own = m.table.isOwn(r.URL.Path)
	at := targetOf(r)
	m.proxy = m.table.router.lookUp(at.host, at.path)
	if m.proxy != nil && !m.Own {
		m.bypassed = m.table.router.bypassed(at, m.proxy)
	}
	return m
}

// IsExact reports whether a route has exactly the path of r.
func (m Match) IsExact(r *http.Request) bool {
	return m.proxy != nil && m.proxy.route.Path == r.URL.Path
}

// IsQuick reports whether no step of serving a handshake by the route can
// block, apart from those of the guard.
func (m Match) IsQuick(r *http.Request) bool {
	return !m.Own && m.proxy != nil && m.proxy.quick && (r.URL.RawQuery == "" || !m.proxy.takesTickets) && !needsReadings(r.URL)
}

var (
	nothingHere  = telemetry.Problem(http.StatusNotFound, "", "There is nothing at this address")
	loopDetected = telemetry.Problem(http.StatusLoopDetected, "loop_detected", "The server behind this address leads back to the gateway")
	noHost       = telemetry.Problem(http.StatusBadRequest, "invalid_request", "The Host field does not name one host")
)

// Serve serves a request by the route of m. It calls own for the gateway's own
// paths.
func (rs *Routes) Serve(w http.ResponseWriter, r *http.Request, m Match, own http.Handler) {
	ways, ok := readPath(r)
	if !ok {
		ambiguous(w, r)
		return
	}
	if ways == nil && m.Own {
		own.ServeHTTP(w, r)
		return
	}
	if !httpx.IsHost(r.Host) {
		noHost(w, r)
		return
	}
	m.table.stripIdentity(r.Header)
	if rs.loops.isLoop(r) {
		rs.log.Warn("a request comes back again and again: an upstream is this gateway itself, or leads to it", "path", r.URL.Path)
		loopDetected(w, r)
		return
	}
	if ways != nil && (m.proxy == nil || !m.table.takes(hostOf(r), m.proxy, ways)) {
		rs.refuseReadings(w, r, m)
		return
	}
	switch {
	case m.proxy == nil:
		nothingHere(w, r)
	case m.bypassed == nil:
		m.proxy.ServeHTTP(w, r)
	case isTwin(r.URL.Path, m.bypassed.route.Path) && r.URL.RawPath == "" && !asksForUpgrade(r):
		m.bypassed.redirect(w, r)
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
