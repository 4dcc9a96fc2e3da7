package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"wsauth"
	"wsauth/client"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/problem"
	"wsauth/internal/staticfile"
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
// Login.Prefix, the published keys and, without routes, the demonstration.
func (g *Gateway) endpoints(c Config) ([]endpoint, error) {
	keys := endpoint{http.MethodGet, discovery.KeysPath, discovery.Keys(c.Tokens.Keys, c.Logger)}
	if c.NoAuth {
		return []endpoint{keys}, nil // upstreams verify assertions with them; see proxy.OwnPaths
	}
	own := slices.Concat(g.loginEndpoints(c), []endpoint{
		keys,
		{http.MethodGet, discovery.MetadataPath, discovery.Metadata(c.Tokens.Issuer)},
	})
	ended, err := g.providerEndpoints(c)
	if err != nil {
		return nil, err
	}
	modules, err := staticfile.Load(client.Files())
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	own = append(own, ended...)
	own = append(own, endpoint{http.MethodGet, c.Login.Prefix + "/client/{file}", modules})
	if len(c.Routes) > 0 {
		return own, nil
	}
	pages, err := demo.Pages()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	for _, p := range pages {
		own = append(own, endpoint{p.Method, p.Path, p.Handler})
	}
	return append(own, endpoint{http.MethodGet, socketPath, upgradesOnly(g.demo.handler)}), nil
}

// A demonstration is the route that the gateway serves if it has no others,
// and the server behind it.
type demonstration struct {
	server  *demo.Server
	handler *proxy.Handler
}

// openDemo starts the server of the demonstration and creates its route.
func (g *Gateway) openDemo() (*demonstration, error) {
	d := &demonstration{server: demo.Start()}
	var err error
	d.handler, err = g.routes.Handler(proxy.Route{
		Path:      socketPath,
		Upstreams: []string{"unix:/demo"},
		Refusal:   wsauth.RefuseClose,
		Headers:   map[string]string{},
		Limits:    proxy.RouteLimits{Ping: -1}, // terminal clients may not read, nor answer pings
	}, d.server.Dial, d.server.Announce)
	if err != nil {
		d.server.Close()
		return nil, err
	}
	return d, nil
}

// close stops the server. Its sockets must have ended.
func (d *demonstration) close() {
	d.handler.Close()
	d.server.Close()
}

// upgradesOnly answers a plain request for the socket with 426, for example if
// a person opens it as a link. HEAD is always plain: an upgrade is a GET (RFC
// 6455 section 4.1), and a server may ignore other upgrades (RFC 9110 section
// 7.8).
func upgradesOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" || r.Method == http.MethodHead {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Version", "13")
			telemetry.Problem(http.StatusUpgradeRequired, "invalid_handshake", "This address is a WebSocket: open it with a WebSocket client")(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
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
