package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// status answers GET /v1/status.
func (a *admin) status(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		telemetry.Problem(http.StatusBadRequest, "invalid_request", "No query is allowed")(w, r)
		return
	}
	g := a.gateway
	stats := g.guard.Stats()
	notReady := g.Ready()
	status := adminapi.Status{
		Version: a.config.Version,
		Started: g.started.Unix(),
		Uptime:  int64(time.Since(g.started) / time.Second),
		Ready:   notReady == nil,
		Open:    adminapi.Open{Sockets: stats.Sockets, Requests: stats.Requests, Sessions: stats.Sessions, Users: stats.Subjects},
		Routes:  g.adminRoutes(),

		Degraded:    stats.Degraded,
		Revocations: adminapi.Revocations{Entries: stats.Log.Entries, Limit: stats.Log.Limit, Pending: stats.Held},
	}
	if refusal, ok := errors.AsType[*wsauth.Error](notReady); ok {
		status.Reason = string(refusal.Reason)
	}
	problem.WriteJSON(w, status)
}

// adminRoutes returns the routes, sorted by host and path.
func (g *Gateway) adminRoutes() []adminapi.Route {
	routes := []adminapi.Route{}
	for _, r := range g.routeStates() {
		routes = append(routes, adminRoute(r))
	}
	slices.SortFunc(routes, func(a, b adminapi.Route) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path))
	})
	return routes
}

func adminRoute(r proxy.RouteState) adminapi.Route {
	route := adminapi.Route{Host: r.Route.Host, Path: r.Route.Path, Public: r.Route.Public, Upstreams: []adminapi.Upstream{}}
	if !route.Public {
		route.Requirement = r.Route.Requirement.String()
	}
	for _, s := range r.Upstreams {
		route.Upstreams = append(route.Upstreams, adminapi.Upstream{Address: s.Address, Healthy: s.Healthy})
	}
	return route
}

// routeStates returns the routes and the state of their upstreams. The
// demonstration has one route, and no upstream.
func (g *Gateway) routeStates() []proxy.RouteState {
	if g.demo != nil {
		return []proxy.RouteState{g.demo.handler.State()}
	}
	return g.routes.States()
}
