package gateway

import (
	"net/http"
	"slices"
	"strings"

	"wsauth/internal/problem"
)

// socketPath is where the demonstration has its socket.
const socketPath = "/ws"

// An endpoint is one method on one path. No path has two methods. openapi.json
// describes the same table.
type endpoint struct {
	method  string // GET serves HEAD too
	path    string // a pattern of http.ServeMux
	handler http.Handler
}

// endpoints returns all that the gateway serves itself: what is below the
// prefix, the published keys and, without routes, the demonstration.
func (g *Gateway) endpoints(c Config, files assets) ([]endpoint, error) {
	keys := endpoint{http.MethodGet, jwksPath, http.HandlerFunc(g.jwks)}
	if c.NoAuth {
		return []endpoint{keys}, nil // for upstreams that verify assertions, see Gateway.isOwn
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

// demoEndpoints are the demonstration.
func demoEndpoints(d *demo, files assets) []endpoint {
	return append([]endpoint{
		{http.MethodGet, socketPath, upgradesOnly(d.proxy)},
		{http.MethodGet, "/{$}", files.handler("index.html")},
	}, docsEndpoints(files, files.handler("openapi.json"))...)
}

// recorded lets the records of requests have the path of their endpoint for a route.
func recorded(endpoints []endpoint) []endpoint {
	for i, e := range endpoints {
		route, socket := &label{name: strings.TrimSuffix(e.path, "{$}")}, e.path == socketPath
		endpoints[i].handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recordOf(r.Context()).route = route
			if !socket {
				ignoreUpgrade(r)
			}
			e.handler.ServeHTTP(w, r)
		})
	}
	return endpoints
}

// ignoreUpgrade makes a plain request of one that asks for another protocol where there is none, as a server may (RFC 9110 section 7.8).
// It is answered and counted as what it is then.
func ignoreUpgrade(r *http.Request) {
	r.Header.Del("Upgrade")
	recordOf(r.Context()).upgrade = false
}

// newMux returns a handler of endpoints; see [problem.NewMux].
func newMux(endpoints []endpoint) http.Handler {
	all := make([]problem.Endpoint, len(endpoints))
	for i, e := range endpoints {
		all[i] = problem.Endpoint{Method: e.method, Path: e.path, Handler: e.handler}
	}
	return problem.NewMux(all, answerProblem)
}
