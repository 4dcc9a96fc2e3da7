package gateway

import (
	"net/http"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// Operations returns a handler for the operators of the gateway. GET /metrics
// returns metrics in the formats of Prometheus. GET /livez answers 200 while
// the process runs. GET /readyz answers 200 if the gateway can admit clients,
// and 503 if it cannot: while it drains, and while its store cannot be read.
// If only writing to the store fails, the answer is "degraded" with 200.
// Otherwise a single client that fills the store would make every node
// unready.
//
// Serve it on a listener that clients cannot reach. The gateway itself also
// answers /livez and /readyz, unless a route has exactly that path.
func (g *Gateway) Operations() http.Handler {
	return problem.WithSecurityHeaders(g.recorder.Handler(g.healthChecks()))
}

// Ready returns nil if the gateway can admit clients, and otherwise an
// [*wsauth.Error] that says why it cannot. See [wsauth.Guard.Ready].
func (g *Gateway) Ready() error { return g.guard.Ready() }

// healthChecks returns the health checks of the gateway.
func (g *Gateway) healthChecks() telemetry.Health {
	return telemetry.Health{Ready: g.guard.Ready, Degraded: func() bool { return g.guard.Stats().Degraded }}
}

// Admin returns the API for operators, with which they list sockets and
// sessions and revoke tokens and sessions; see docs/admin.md. It sets the
// fields of c that describe the gateway. The API also answers the requests of
// the other nodes of a cluster.
func (g *Gateway) Admin(c admin.Config) (*admin.API, error) {
	c.Guard, c.Sessions, c.Drain, c.Logger = g.guard, g.login, g.config.Front.Drain, g.log
	c.Routes, c.ServedBy = g.adminRoutes, g.routes.ServedBy
	if g.peers != nil {
		c.Cluster = peerNodes{g.config.Cluster, g.peers}
	}
	api, err := admin.New(c)
	if err == nil && g.peers != nil {
		g.peers.Serve(api.Private())
	}
	return api, err
}

// adminRoutes returns the routes and the state of their upstreams.
func (g *Gateway) adminRoutes() []adminapi.Route {
	routes := []adminapi.Route{}
	for _, r := range g.routes.States() {
		route := adminapi.Route{Host: r.Route.Host, Path: r.Route.Path, Public: r.Route.Public, Upstreams: []adminapi.Upstream{}}
		if !route.Public {
			route.Requirement = r.Route.Requirement.String()
		}
		for _, u := range r.Upstreams {
			route.Upstreams = append(route.Upstreams, adminapi.Upstream{Address: u.Address, Healthy: u.Healthy})
		}
		routes = append(routes, route)
	}
	return routes
}
