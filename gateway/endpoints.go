package gateway

import (
	"net/http"
	"slices"
	"strings"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
)

// socketPath is the path of the demonstration's socket.
const socketPath = "/ws"

// An endpoint is a method on a path. A path has only one method. openapi.json
// describes the same table.
type endpoint struct {
	method  string // GET also serves HEAD
	path    string // a pattern of http.ServeMux
	handler http.Handler
}

// endpoints returns the endpoints that the gateway serves itself: those below
// AuthPrefix, the published keys and, without routes, the demonstration.
func (g *Gateway) endpoints(c Config, files assets) ([]endpoint, error) {
	keys := endpoint{http.MethodGet, jwksPath, http.HandlerFunc(g.jwks)}
	if c.NoAuth {
		return []endpoint{keys}, nil // upstreams verify assertions with them; see Gateway.isOwn
	}
	own := slices.Concat(g.loginEndpoints(c), []endpoint{
		keys,
		{http.MethodGet, openidPath, discoveryOf(c.Issuer)},
	})
	ended, err := g.providerEndpoints(c)
	if err != nil {
		return nil, err
	}
	own = append(own, ended...)
	own = append(own, endpoint{http.MethodGet, c.AuthPrefix + "/client/{file}", files.serve(clientPrefix)})
	if len(c.Routes) > 0 {
		return own, nil
	}
	return slices.Concat(own, demoEndpoints(g.demo, files)), nil
}

// demoEndpoints returns the endpoints of the demonstration.
func demoEndpoints(d *demo, files assets) []endpoint {
	return append([]endpoint{
		{http.MethodGet, socketPath, upgradesOnly(d.proxy)},
		{http.MethodGet, "/{$}", files.handler("index.html")},
	}, docsEndpoints(files, files.handler("openapi.json"))...)
}

// recorded makes endpoints record their path as the route of a request.
func (g *Gateway) recorded(endpoints []endpoint) []endpoint {
	for i, e := range endpoints {
		route, socket := g.recorder.Endpoint(strings.TrimSuffix(e.path, "{$}")), e.path == socketPath
		endpoints[i].handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			telemetry.From(r.Context()).SetRoute(route)
			if !socket {
				ignoreUpgrade(r)
			}
			e.handler.ServeHTTP(w, r)
		})
	}
	return endpoints
}

// ignoreUpgrade turns an upgrade request into a plain one, for an endpoint
// that has no other protocol. A server may do so (RFC 9110 section 7.8). The
// request is then answered and counted as a plain one.
func ignoreUpgrade(r *http.Request) {
	r.Header.Del("Upgrade")
	telemetry.From(r.Context()).SetPlain()
}

// newMux returns a handler for endpoints; see [problem.NewMux].
func newMux(endpoints []endpoint) http.Handler {
	all := make([]problem.Endpoint, len(endpoints))
	for i, e := range endpoints {
		all[i] = problem.Endpoint{Method: e.method, Path: e.path, Handler: e.handler}
	}
	return problem.NewMux(all, telemetry.AnswerProblem)
}
