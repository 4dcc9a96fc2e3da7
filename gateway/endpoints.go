package gateway

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

// socketPath is where the demonstration has its socket.
const socketPath = "/ws"

// An endpoint is one method on one path; no path has two methods. openapi.json describes the same table.
type endpoint struct {
	method  string // GET serves HEAD too
	path    string // a pattern of http.ServeMux
	handler http.Handler
}

// endpoints is all that the gateway serves itself: with routes what is below the prefix and the published keys, without them the
// demonstration as well.
func (g *Gateway) endpoints(c Config, files assets) ([]endpoint, error) {
	keys := endpoint{http.MethodGet, jwksPath, http.HandlerFunc(g.jwks)}
	if c.NoAuth {
		return []endpoint{keys}, nil // for upstreams that verify assertions, see Gateway.isOwn
	}
	own := slices.Concat(g.loginEndpoints(c), []endpoint{
		{http.MethodPost, c.AuthPrefix + "/ticket", http.HandlerFunc(g.ticket)},
		{http.MethodPost, c.AuthPrefix + "/logout", http.HandlerFunc(g.logout)},
		{http.MethodPost, c.AuthPrefix + "/logout-everywhere", http.HandlerFunc(g.logoutEverywhere)},
		{http.MethodGet, c.AuthPrefix + "/sessions", http.HandlerFunc(g.sessions)},
		{http.MethodDelete, c.AuthPrefix + "/sessions/{sid}", http.HandlerFunc(g.endOne)},
		{http.MethodGet, c.AuthPrefix + "/session", http.HandlerFunc(g.session)},
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

// loginEndpoints are for those who log in here.
func (g *Gateway) loginEndpoints(c Config) []endpoint {
	if c.Authenticate == nil {
		return nil
	}
	return []endpoint{
		{http.MethodPost, c.AuthPrefix + "/login", http.HandlerFunc(g.login)},
		{http.MethodPost, c.AuthPrefix + "/refresh", http.HandlerFunc(g.refresh)},
		{http.MethodPost, c.AuthPrefix + "/fresh", http.HandlerFunc(g.fresh)},
	}
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

// newMux serves the endpoints. Any other method on their paths is 405 with Allow (RFC 9110 section 15.5.6), any other path 404.
func newMux(endpoints []endpoint) http.Handler {
	nothingHere := problemHandler(http.StatusNotFound, "", "There is nothing at this address")
	mux := http.NewServeMux()
	for _, r := range endpoints {
		allow := r.method
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		mux.Handle(r.method+" "+r.path, r.handler)
		mux.Handle(r.path, methodNotAllowed(allow))
	}
	mux.Handle("/", nothingHere)
	return cleanOnly(mux, nothingHere)
}

// cleanOnly passes on requests whose path has one spelling only. http.ServeMux would answer the others with a redirect that
// repeats their query, and so a token that is in it.
func cleanOnly(next, nothingHere http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if escaped := r.URL.EscapedPath(); escaped != clean(escaped) {
			nothingHere.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// clean is p without empty, "." and ".." segments.
func clean(p string) string {
	rooted := p
	if !strings.HasPrefix(p, "/") {
		rooted = "/" + p
	}
	cleaned := path.Clean(rooted) // which allocates nothing for a clean path
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

func methodNotAllowed(allow string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		problemHandler(http.StatusMethodNotAllowed, "method_not_allowed", "This address answers "+allow)(w, r)
	})
}
