package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/internal/upstream"
)

// A routing is an immutable snapshot of the routes. [Gateway.Update] replaces
// it.
type routing struct {
	router     *router
	byName     map[string]*proxy
	identities map[string]bool // folded names of the identity headers
	asserts    bool            // a route has an assertion
}

// close closes the connections to the upstreams.
func (of *routing) close() {
	for _, p := range of.byName {
		p.pool.Close()
	}
}

// A match is what the routes decide about a request: which of them serves it.
type match struct {
	routes   *routing
	own      bool   // the gateway answers the path itself, regardless of the routes
	proxy    *proxy // of the path as written; nil if there is none
	bypassed *proxy // see [router.bypassed]; nil if own
}

// match returns the match of a request for the current routes.
func (g *Gateway) match(r *http.Request) match {
	m := match{routes: g.routing.Load()}
	if m.routes == nil { // the demonstration
		m.own = isOwnPath(r.URL.Path, g.authPrefix, g.noAuth, false)
		return m
	}
	m.own = g.isOwn(r.URL.Path, m.routes)
	at := targetOf(r)
	m.proxy = m.routes.router.lookUp(at.host, at.path)
	if m.proxy != nil && !m.own {
		m.bypassed = m.routes.router.bypassed(at, m.proxy)
	}
	return m
}

// isExact reports whether a route has exactly the path of r.
func (m match) isExact(r *http.Request) bool {
	return m.proxy != nil && m.proxy.route.Path == r.URL.Path
}

// isQuick reports whether the route can serve a handshake without blocking.
func (m match) isQuick(r *http.Request) bool {
	return !m.own && m.proxy != nil && m.proxy.quick && (r.URL.RawQuery == "" || !m.proxy.takesTickets) && !needsReadings(r.URL)
}

var (
	nothingHere  = problemHandler(http.StatusNotFound, "", "There is nothing at this address")
	loopDetected = problemHandler(http.StatusLoopDetected, "loop_detected", "The server behind this address leads back to the gateway")
	noHost       = problemHandler(http.StatusBadRequest, "invalid_request", "The Host field does not name one host")
)

// serveMatch serves a request by the route of m, or by the gateway's own
// endpoints.
func (g *Gateway) serveMatch(w http.ResponseWriter, r *http.Request, m match) {
	ways, ok := readPath(r)
	if !ok {
		ambiguous(w, r)
		return
	}
	if ways == nil && m.own {
		g.own.ServeHTTP(w, r)
		return
	}
	if !httpx.IsHost(r.Host) {
		noHost(w, r)
		return
	}
	m.routes.stripIdentity(r.Header)
	if g.loops.isLoop(r) {
		g.log.Warn("a request comes back again and again: an upstream is this gateway itself, or leads to it", "path", r.URL.Path)
		loopDetected(w, r)
		return
	}
	if ways != nil && (m.proxy == nil || !g.takes(m.routes, hostOf(r), m.proxy, ways)) {
		g.refuseReadings(w, r, m.routes, m.proxy)
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

// reserveUpstream reserves a connection to an upstream. If none is left, it
// first closes those that are idle.
func (g *Gateway) reserveUpstream() bool {
	limiter := g.front.Limiter()
	if limiter.ReserveUpstream() {
		return true
	}
	if now := g.routing.Load(); now != nil {
		for _, p := range now.byName {
			p.pool.CloseIdle()
		}
	}
	return limiter.ReserveUpstream()
}

// redirect redirects a client to the path of the route, whose rules then
// apply. It keeps the query. The Location contains nothing else from the
// request, so it cannot lead to another host.
func (p *proxy) redirect(w http.ResponseWriter, r *http.Request) {
	x := recordOf(r.Context())
	x.route = p.label
	x.share(p.cors, r)
	to := url.URL{Path: p.route.Path, RawQuery: r.URL.RawQuery}
	w.Header()["Content-Type"] = nil // the answer has no body
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to.String(), http.StatusTemporaryRedirect)
}

// isOwn reports whether the gateway answers a path itself, regardless of the
// routes. With [Config.NoAuth], these are only the published keys, if
// upstreams need them to verify assertions.
func (g *Gateway) isOwn(path string, by *routing) bool {
	return isOwnPath(path, g.authPrefix, g.noAuth, by.asserts)
}

// isOwnPath implements isOwn for a gateway with this prefix. asserts reports
// whether a route has an assertion.
func isOwnPath(path, prefix string, noAuth, asserts bool) bool {
	if noAuth {
		return asserts && path == jwksPath
	}
	below, ok := strings.CutPrefix(path, prefix)
	return ok && (below == "" || below[0] == '/') || isPublished(path)
}

// stripIdentity removes the identity headers from h, in every spelling that
// some server treats as equal. It removes those of all routes, since an
// upstream may serve several.
func (of *routing) stripIdentity(h http.Header) {
	for name := range h {
		if of.identities[fold(name)] {
			delete(h, name)
		}
	}
}

// Update replaces the routes. If it returns an error, which joins all faults,
// nothing has changed.
//
// A socket stays open if its route still exists, with the same host and path,
// and still admits its client, and if so does the route that its request would
// match now. Other sockets end with close code 1012 and reason "restarting";
// their clients reconnect under the new rules. A socket that stays open keeps
// its upstream and its limits until it ends.
func (g *Gateway) Update(routes []Route) error {
	c := Config{Routes: routes, AuthPrefix: g.authPrefix, NoAuth: g.noAuth, Keys: g.keys}
	if len(routes) == 0 {
		return errors.New("gateway: Update: at least one route is required")
	}
	if err := c.checkRoutes().join(); err != nil {
		return err
	}
	return g.putRoutes(c.Routes)
}

// RemoveRoutes removes all routes, with their sockets, until [Gateway.Update]
// sets new ones. In the meantime, the gateway answers only its own paths.
func (g *Gateway) RemoveRoutes() error {
	if g.demo != nil {
		return errors.New("gateway: RemoveRoutes: the demonstration has none")
	}
	return g.putRoutes(nil)
}

// putRoutes replaces the routes with routes that were checked.
func (g *Gateway) putRoutes(routes []Route) error {
	g.updating.Lock()
	defer g.updating.Unlock()
	before := g.routing.Load()
	after := &routing{byName: map[string]*proxy{}, identities: map[string]bool{}}
	var all, fresh []*proxy
	for _, r := range routes {
		p := before.unchanged(r)
		if p == nil {
			var err error
			if p, err = g.newProxy(r, upstream.Config{}); err != nil {
				for _, p := range fresh {
					p.pool.Close()
				}
				return err
			}
			fresh = append(fresh, p)
		}
		all = append(all, p)
		after.byName[r.name()] = p
		after.addIdentities(r)
	}
	for _, p := range fresh {
		p.label = g.metrics.begin(p.route.name())
	}
	after.router = newRouter(all)
	g.routing.Store(after)
	if before != nil {
		g.leave(before, after)
	}
	return nil
}

// unchanged returns the proxy of a route that is identical to r, or nil if
// there is none.
func (of *routing) unchanged(r Route) *proxy {
	if of == nil {
		return nil
	}
	if p := of.byName[r.name()]; p != nil && reflect.DeepEqual(p.route, r) {
		return p
	}
	return nil
}

func (of *routing) addIdentities(r Route) {
	for name := range r.Headers {
		of.identities[fold(name)] = true
	}
	if r.Assertion != "" {
		of.asserts = true
		of.identities[fold(r.Assertion)] = true
	}
}

// leave retires the proxies of before that are not in after, and ends the
// sockets that may not stay open.
func (g *Gateway) leave(before, after *routing) {
	for name, old := range before.byName {
		if after.byName[name] == nil {
			g.metrics.forget(name)
		}
		old.aged.Store(true)
		if after.byName[name] == old {
			continue
		}
		old.replaced.Store(true)
		old.pool.Close()
	}
	for s, by := range g.live.all() {
		if !after.stands(s, by.proxy, by.at.Value()) {
			s.End(wsauth.Restarting.End(errors.New("its route is gone, or lets it in no more")))
		}
	}
}

// stands reports whether a socket of p may stay open: its route must still
// exist and admit it as before, and so must the route that its request would
// match now.
func (of *routing) stands(s *wsauth.Socket, p *proxy, at target) bool {
	now := of.router.lookUp(at.host, at.path)
	if now == nil || of.router.bypassed(at, now) != nil {
		return false
	}
	for _, now := range [...]*proxy{of.byName[p.route.name()], now} {
		if now == nil || now.route.Public != p.route.Public || now.route.Requirement != p.route.Requirement || now.allows(s.Claims()) != nil {
			return false
		}
	}
	return true
}
