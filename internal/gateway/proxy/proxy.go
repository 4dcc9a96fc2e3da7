package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync/atomic"

	"wsauth"
	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/upstream"
	"wsauth/token"
)

// A proxy serves one route: it authenticates requests and passes them on to
// the route's upstreams.
type proxy struct {
	routes   *Routes
	route    Route
	label    *telemetry.Route // nil until the route is served
	guard    *wsauth.Guard
	guarded  http.Handler // handler of plain requests
	pool     *upstream.Pool
	cors     *CORSPolicy // nil if the gateway sets no CORS headers
	identity identityHeaders
	plain    *httputil.ReverseProxy

	extractors  []wsauth.Extractor // where the guard looks for credentials
	requirement wsauth.Requirement

	quick, takesTickets bool // see [Match.IsQuick]

	local LocalServer // the upstream, if it is in this process

	// replaced reports whether another proxy serves the route now. This one
	// only finishes what it has started.
	replaced atomic.Bool

	// aged reports whether the routes have changed since the proxy was added.
	aged atomic.Bool
}

// newProxy returns the proxy of a route that was checked. reach holds the
// settings of upstream connections that the route does not set.
func (rs *Routes) newProxy(r Route, reach upstream.Config) (*proxy, error) {
	p := &proxy{routes: rs, route: r, identity: newIdentityHeaders(r, rs.config.Issuer)}
	var err error
	p.guard, err = rs.config.Guard.With(p.policy)
	if err != nil {
		return nil, fmt.Errorf("gateway: route %s: %w", r.name(), err)
	}
	reach.Addresses, reach.TLS = r.Upstreams, r.TLS
	reach.Connect, reach.Response = r.Connect, r.Response
	reach.Health = upstream.Health{Path: r.Health.Path, Every: r.Health.Every, Timeout: r.Health.Timeout}
	reach.Checks = &rs.checks
	reach.Reserve, reach.Release = rs.reserve, rs.config.Release
	reach.Logger = rs.log.With("route", r.name())
	if p.pool, err = upstream.New(reach); err != nil {
		return nil, fmt.Errorf("gateway: route %s: %w", r.name(), err)
	}
	p.plain = p.newPlain()
	if p.requirement = r.Requirement; r.Public {
		p.requirement = wsauth.Optional
	}
	p.extractors = r.readExtractors()
	p.cors = newCORSPolicy(r.name(), r.CORS, credentialHeaders(p.extractors))
	p.quick, p.takesTickets = p.isQuickRoute(p.extractors), !r.Public && slices.ContainsFunc(p.extractors, isTicket)
	p.guarded = p.guard.Require(p.requirement)(http.HandlerFunc(p.serveGuarded))
	return p, nil
}

// policy turns c, the configuration of the gateway's guard, into that of the
// route's guard.
func (p *proxy) policy(c *wsauth.Config) {
	if p.route.Extractors != nil {
		c.Extractors = p.route.Extractors
	}
	if p.route.Origins != nil {
		c.Origins = p.route.Origins
	}
	c.AnyOrigin = p.route.AnyOrigin
	if p.route.AnyOrigin {
		c.Origins = nil
	}
	c.AppParameters = p.route.AppParameters
	c.Refusal = p.route.Refusal
	c.Logger = c.Logger.With("route", p.route.name())
	c.Limits.HandshakesPerMinute = Bound(p.route.Limits.PerMinute)
	c.Authorize = p.authorize
	c.KeepCredential = p.route.KeepCredential
	if p.route.Public { // no credentials are read, so none can be refused
		c.Extractors, c.AppParameters = []wsauth.Extractor{noExtractor{}}, []string{"*"}
	}
}

// ServeHTTP answers a request whose path has passed readPath.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	telemetry.From(r.Context()).SetRoute(p.label)
	c := p.route.CORS
	switch {
	case c != nil && c.Upstream && !p.route.Public && isPreflight(r):
		p.passPreflight(w, r)
	case httpx.AsksForUpgrade(r.Header):
		p.serveSocket(w, r)
	case p.route.Public:
		r = r.Clone(r.Context())
		p.stripOwn(r)
		p.servePlain(w, r, nil, false)
	default:
		p.guarded.ServeHTTP(w, r)
	}
}

// serveGuarded answers a plain request that the guard has admitted.
func (p *proxy) serveGuarded(w http.ResponseWriter, r *http.Request) {
	claims := wsauth.ClaimsFrom(r.Context())
	telemetry.From(r.Context()).SetClaims(claims)
	p.stripOwn(r)
	p.servePlain(w, r, claims, false)
}

// outgoing prepares h, the header of a request to the upstream. It removes
// fields that could mislead the upstream. Then it writes the identity and
// address of the client that sent in, and the host and scheme that the client
// used.
func (p *proxy) outgoing(in *http.Request, h http.Header, claims *token.Claims) error {
	for name := range h {
		if isMisleading(name) {
			delete(h, name)
		}
	}
	if ip, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		h.Set("X-Forwarded-For", ip)
		h.Set("X-Real-Ip", ip)
	}
	p.routes.loops.mark(h, in)
	h.Set("X-Forwarded-Host", in.Host)
	h.Set("X-Forwarded-Proto", forwarded.Scheme(in))
	return p.identity.add(h, claims)
}
