package gateway

import (
	"errors"
	"net/http"
	"strings"

	"wsauth"
	"wsauth/client"
	"wsauth/idp"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
	"wsauth/internal/staticfile"
)

// newOwn returns the handler of the gateway's own paths.
func (g *Gateway) newOwn() (http.Handler, error) {
	endpoints, err := g.endpoints(&g.config)
	if err != nil {
		return nil, err
	}
	for i, e := range endpoints {
		endpoints[i] = g.recorder.Endpoint(e, e.Path == demo.SocketPath)
	}
	return problem.WithSecurityHeaders(g.withOrigins(problem.NewMux(endpoints, telemetry.AnswerProblem))), nil
}

// endpoints returns the endpoints that the gateway serves itself: those below
// Login.Prefix, the published keys and, without routes, the demonstration.
// openapi.json describes the same endpoints.
func (g *Gateway) endpoints(c *Config) ([]problem.Endpoint, error) {
	keys := problem.Endpoint{Method: http.MethodGet, Path: discovery.KeysPath, Handler: discovery.Keys(c.Tokens.Keys, g.log)}
	if c.NoAuth {
		return []problem.Endpoint{keys}, nil // upstreams verify assertions with them; see proxy.OwnPaths
	}
	modules, err := staticfile.Load(client.Files())
	if err != nil {
		return nil, err
	}
	own := []problem.Endpoint{
		keys,
		{Method: http.MethodGet, Path: discovery.MetadataPath, Handler: discovery.Metadata(c.Tokens.Issuer)},
		{Method: http.MethodGet, Path: c.Login.Prefix + "/client/{file}", Handler: modules},
	}
	for _, pattern := range g.login.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if c.Login.Users != nil || path != c.Login.Prefix+"/refresh" { // without logins there is nothing to refresh
			own = append(own, problem.Endpoint{Method: method, Path: path, Handler: g.login})
		}
	}
	if len(c.Tokens.Providers) > 0 {
		h, err := idp.NewHandler(g.guard, g.log, c.Tokens.Providers...)
		if err != nil {
			return nil, err
		}
		own = append(own,
			problem.Endpoint{Method: http.MethodPost, Path: c.Login.Prefix + "/backchannel-logout", Handler: http.HandlerFunc(h.Logout)},
			problem.Endpoint{Method: http.MethodPost, Path: c.Login.Prefix + "/events", Handler: http.HandlerFunc(h.Event)})
	}
	if g.demo == nil {
		return own, nil
	}
	pages, err := demo.Endpoints(g.demo)
	return append(own, pages...), err
}

// withOrigins returns a handler that refuses requests from pages of other
// origins to the gateway's own endpoints, unless AuthCORS permits them.
func (g *Gateway) withOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused, ok := errors.AsType[*wsauth.Error](g.login.CheckOrigin(r)); ok {
			telemetry.Problem(http.StatusForbidden, "origin_not_allowed", refused.Message)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// demoRoute is the route of the demonstration.
var demoRoute = proxy.Route{
	Path:      demo.SocketPath,
	Upstreams: []string{"unix:/demo"},
	Refusal:   wsauth.RefuseClose,
	Headers:   map[string]string{},
	Limits:    proxy.RouteLimits{Ping: -1}, // terminal clients may not read, nor answer pings
}
