package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/problem"
)

// AdminStatus is the state of the gateway. Times are in seconds since 1970.
type AdminStatus struct {
	Version string `json:"version,omitzero"`
	Started int64  `json:"started"`
	Uptime  int64  `json:"uptime"` // seconds
	// Ready reports whether the gateway admits clients: it knows the
	// revocations and is not draining. If it is not ready, Reason is
	// "restarting" if it is draining, or "store_unavailable".
	Ready  bool         `json:"ready"`
	Reason string       `json:"reason,omitzero"`
	Open   AdminOpen    `json:"open"`
	Routes []AdminRoute `json:"routes"`

	// Degraded reports whether new revocations would be lost if the process
	// ended.
	Degraded    bool             `json:"degraded"`
	Revocations AdminRevocations `json:"revocations"`
}

// AdminRevocations reports how full the log of revocations is. Entries and
// Limit are absent if the store does not report them.
type AdminRevocations struct {
	Entries int `json:"entries,omitzero"`
	Limit   int `json:"limit,omitzero"`
	Held    int `json:"held"` // on this node only, because the store did not accept them
}

// AdminOpen reports how much is open.
type AdminOpen struct {
	Sockets  int `json:"sockets"`
	Requests int `json:"requests"` // plain requests that have taken longer than a second
	Sessions int `json:"sessions"` // with sockets; counted by sid
	Users    int `json:"users"`    // with sockets
}

// An AdminRoute is a route and its upstreams.
type AdminRoute struct {
	Host        string          `json:"host,omitzero"`
	Path        string          `json:"path"`
	Public      bool            `json:"public"`
	Requirement string          `json:"requirement,omitzero"` // absent for public routes
	Upstreams   []AdminUpstream `json:"upstreams"`            // empty for the demonstration
}

// An AdminUpstream is an upstream of a route.
type AdminUpstream struct {
	Address string `json:"address"`
	Well    bool   `json:"well"` // healthy: it gets requests
}

// status answers GET /v1/status.
func (a *admin) status(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		problemHandler(http.StatusBadRequest, "invalid_request", "There is no query here")(w, r)
		return
	}
	g := a.gateway
	stats := g.guard.Stats()
	notReady := g.Ready()
	status := AdminStatus{
		Version: a.config.Version,
		Started: g.started.Unix(),
		Uptime:  int64(time.Since(g.started) / time.Second),
		Ready:   notReady == nil,
		Open:    AdminOpen{Sockets: stats.Sockets, Requests: stats.Requests, Sessions: stats.Sessions, Users: stats.Subjects},
		Routes:  g.adminRoutes(),

		Degraded:    stats.Degraded,
		Revocations: AdminRevocations{stats.Log.Entries, stats.Log.Limit, stats.Held},
	}
	if refusal, ok := errors.AsType[*wsauth.Error](notReady); ok {
		status.Reason = string(refusal.Reason)
	}
	problem.WriteJSON(w, status)
}

// adminRoutes returns the routes, sorted by host and path.
func (g *Gateway) adminRoutes() []AdminRoute {
	routes := []AdminRoute{}
	for _, r := range g.routeStates() {
		routes = append(routes, adminRoute(r))
	}
	slices.SortFunc(routes, func(a, b AdminRoute) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path))
	})
	return routes
}

func adminRoute(r RouteState) AdminRoute {
	route := AdminRoute{Host: r.Route.Host, Path: r.Route.Path, Public: r.Route.Public, Upstreams: []AdminUpstream{}}
	if !route.Public {
		route.Requirement = r.Route.Requirement.String()
	}
	for _, s := range r.Upstreams {
		route.Upstreams = append(route.Upstreams, AdminUpstream{s.Address, s.Well})
	}
	return route
}

// routeStates returns the routes and the state of their upstreams. The
// demonstration has one route, and no upstream.
func (g *Gateway) routeStates() []RouteState {
	if g.demo != nil {
		return []RouteState{{Name: g.demo.proxy.route.name(), Route: g.demo.proxy.route}}
	}
	return g.routes.States()
}
