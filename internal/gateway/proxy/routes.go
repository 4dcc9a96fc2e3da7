package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"wsauth"
	"wsauth/internal/eventloop"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/relay"
	"wsauth/internal/upstream"
	"wsauth/token"
)

// A Config configures [Routes]. All fields are required, except those whose
// comment names a default.
type Config struct {
	// Guard is the guard from which those of the routes are derived; see
	// [NewGuard].
	Guard *wsauth.Guard

	// Issuer issues the assertions of the routes, with Keys. OwnIssuer and
	// Verifier are those of the gateway's own tokens, which no upstream gets.
	Issuer    *token.Issuer
	OwnIssuer string
	Keys      Keys
	Verifier  *token.Verifier

	// Own are the paths that the gateway answers itself.
	Own OwnPaths

	// StripLogin removes the cookies of the gateway's logins from the header
	// of a request. Default: there are no logins.
	StripLogin func(http.Header)

	// PresentRefresh checks a refresh token that a route accepts.
	PresentRefresh func(ctx context.Context, claims *token.Claims, route string) error

	// Reserve reserves a connection to an upstream, and Release releases it.
	// Reserve returns false if there are too many.
	Reserve func() bool
	Release func()

	// Events waits for upstreams to answer handshakes. Carrier relays between
	// clients and upstreams.
	Events  *eventloop.Group
	Carrier *relay.Relay

	Recorder *telemetry.Recorder
	Logger   *slog.Logger
}

// Keys are the keys of the gateway's own tokens; see login.Keys.
type Keys interface {
	token.Signer
	token.KeySource
}

// Routes pass requests on to upstreams, each by the route for its host and
// path. They are safe for concurrent use.
type Routes struct {
	config    Config
	ownTokens ownTokens
	cors      *CORSPolicy // for the gateway's own paths; nil for none
	log       *slog.Logger
	loops     loopGuard
	checks    upstream.Checks // for the upstreams of all routes
	updating  sync.Mutex      // held while the routes change
	table     atomic.Pointer[routeTable]
	live      liveSockets
	local     []*Handler

	// Authorized is called after each call of a route's rule. It is for tests.
	Authorized atomic.Pointer[func()]
}

// New returns Routes without any route; see [Routes.Update].
func New(c Config) *Routes {
	rs := &Routes{
		config:    c,
		ownTokens: ownTokens{issuer: c.OwnIssuer, keys: c.Keys, verifier: c.Verifier},
		cors:      c.Own.policy(),
		log:       c.Logger,
		loops:     newLoopGuard(),
		checks:    upstream.Checks{Logger: c.Logger},
	}
	rs.table.Store(newRouteTable(rs, nil))
	return rs
}

// Update replaces the routes by others that [CheckRoutes] has returned. If it
// returns an error, nothing has changed.
//
// A socket stays open if its route still exists, with the same host, path,
// Public and Requirement, and still admits its client. The route that its
// request would match now must have the same Public and Requirement, and admit
// the client as well. Other sockets end with close code 1012 and reason
// "restarting"; their clients reconnect under the new rules. A socket that
// stays open keeps its upstream and its limits until it ends.
func (rs *Routes) Update(routes []Route) error {
	rs.updating.Lock()
	defer rs.updating.Unlock()
	before := rs.table.Load()
	var all, fresh []*proxy
	for _, r := range routes {
		p := before.unchanged(r)
		if p == nil {
			var err error
			if p, err = rs.newProxy(r, upstream.Config{}); err != nil {
				for _, p := range fresh {
					p.pool.Close()
				}
				return err
			}
			fresh = append(fresh, p)
		}
		all = append(all, p)
	}
	for _, p := range fresh {
		p.label = rs.config.Recorder.AddRoute(p.route.name())
	}
	after := newRouteTable(rs, all)
	rs.table.Store(after)
	rs.retire(before, after)
	return nil
}

// retire retires the proxies of before that are not in after, and ends the
// sockets that may not stay open.
func (rs *Routes) retire(before, after *routeTable) {
	for name, old := range before.byName {
		if after.byName[name] == nil {
			rs.config.Recorder.RemoveRoute(name)
		}
		old.aged.Store(true)
		if after.byName[name] == old {
			continue
		}
		old.replaced.Store(true)
		old.pool.Close()
	}
	for s, by := range rs.live.all() {
		if !after.admits(s, by.proxy, by.key.Value()) {
			s.EndWith(&wsauth.EndError{Reason: wsauth.Restarting, Err: errRouteChanged})
		}
	}
}

// errRouteChanged is the error of a socket that the routes no longer admit.
var errRouteChanged = errors.New("its route was removed or no longer admits its client")

// Close closes the connections to the upstreams, and the upstreams in this
// process. All sockets must have ended.
func (rs *Routes) Close() {
	for _, p := range rs.table.Load().byName {
		p.pool.Close()
	}
	for _, h := range rs.local {
		h.close()
	}
}

// reserve reserves a connection to an upstream. If none is left, it first
// closes those that are idle.
func (rs *Routes) reserve() bool {
	if rs.config.Reserve() {
		return true
	}
	for _, p := range rs.table.Load().byName {
		p.pool.CloseIdle()
	}
	return rs.config.Reserve()
}

// Renewed ends a socket that may not stay open with the claims that it has
// just received: the routes may have been replaced after the renewal checked
// the old ones. Either Update sees the new claims, or Renewed sees the new
// routes.
func (rs *Routes) Renewed(s *wsauth.Socket) {
	if by := rs.live.find(s); by.proxy != nil {
		by.proxy.review(s, by.key.Value())
	}
}

// ServedBy returns the name of the route that serves a socket and the address
// of its upstream, which is "" if it is not known or if the upstream is in this
// process. Both are "" if the socket is not connected to an upstream.
func (rs *Routes) ServedBy(s *wsauth.Socket) (route, upstream string) {
	by := rs.live.find(s)
	if by.proxy == nil {
		return "", ""
	}
	if by.proxy.local != nil {
		return by.proxy.route.name(), ""
	}
	return by.proxy.route.name(), by.upstream
}

// A RouteState is a route and the state of its upstreams that have an address.
type RouteState struct {
	Name      string // host and path
	Route     Route
	Upstreams []upstream.State
}

// Connected returns the number of open sockets and of plain requests that the
// guard follows.
func (rs *Routes) Connected() int { return len(rs.live.all()) }

// CountUpstreams yields the number of healthy upstreams, and of all upstreams,
// of each route.
func (rs *Routes) CountUpstreams(yield func(route string, healthy, all int)) {
	for _, r := range rs.States() {
		healthy := 0
		for _, u := range r.Upstreams {
			if u.Healthy {
				healthy++
			}
		}
		if len(r.Upstreams) > 0 {
			yield(r.Name, healthy, len(r.Upstreams))
		}
	}
}

// States returns the state of each route, sorted by name.
func (rs *Routes) States() []RouteState {
	var all []RouteState
	for _, h := range rs.local {
		all = append(all, RouteState{Name: h.proxy.route.name(), Route: h.proxy.route})
	}
	for name, p := range rs.table.Load().byName {
		all = append(all, RouteState{name, p.route, p.pool.States()})
	}
	slices.SortFunc(all, func(a, b RouteState) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// A routeTable is an immutable snapshot of the configured routes.
type routeTable struct {
	own        *OwnPaths
	router     *router
	byName     map[string]*proxy
	identities map[string]bool // folded names of the identity headers
	asserts    bool            // a route has an assertion
	cors       bool            // a route has a CORS policy
}

func newRouteTable(rs *Routes, proxies []*proxy) *routeTable {
	t := &routeTable{own: &rs.config.Own, router: newRouter(proxies), byName: map[string]*proxy{}, identities: map[string]bool{}}
	for _, p := range proxies {
		t.byName[p.route.name()] = p
		t.cors = t.cors || p.cors != nil
		for name := range p.route.Headers {
			t.identities[fold(name)] = true
		}
		if p.route.Assertion != "" {
			t.asserts = true
			t.identities[fold(p.route.Assertion)] = true
		}
	}
	return t
}

// unchanged returns the proxy of a route that is identical to r, or nil if
// there is none.
func (t *routeTable) unchanged(r Route) *proxy {
	if p := t.byName[r.name()]; p != nil && reflect.DeepEqual(p.route, r) {
		return p
	}
	return nil
}

// isOwn reports whether the gateway answers a path itself.
func (t *routeTable) isOwn(path string) bool { return t.own.contains(path, t.asserts) }

// stripIdentity removes the identity headers from h, in every spelling that
// some server treats as equal. It removes those of all routes, since an
// upstream may serve several.
func (t *routeTable) stripIdentity(h http.Header) {
	for name := range h {
		if t.identities[fold(name)] {
			delete(h, name)
		}
	}
}

// admits reports whether a socket of p may stay open: its route must still
// exist and admit it as before, and so must the route that its request would
// match now.
func (t *routeTable) admits(s *wsauth.Socket, p *proxy, key routeKey) bool {
	now := t.router.lookUp(key.host, key.path)
	if now == nil || t.router.bypassed(key, now) != nil {
		return false
	}
	for _, now := range [...]*proxy{t.byName[p.route.name()], now} {
		if now == nil || now.route.Public != p.route.Public || now.route.Requirement != p.route.Requirement || now.allows(s.Claims()) != nil {
			return false
		}
	}
	return true
}
