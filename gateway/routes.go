package gateway

import (
	"net/http"

	"wsauth"
)

// A route is one method on one path; no path has two methods. openapi.json describes the same table.
type route struct {
	method  string // GET serves HEAD too
	path    string // a pattern of http.ServeMux
	handler http.Handler
}

// routes is all that the gateway serves.
func (g *Gateway) routes(files assets) []route {
	own := []route{
		{http.MethodPost, "/auth/login", http.HandlerFunc(g.login)},
		{http.MethodPost, "/auth/refresh", http.HandlerFunc(g.refresh)},
		{http.MethodPost, "/auth/logout", http.HandlerFunc(g.logout)},
		{http.MethodGet, "/auth/session", http.HandlerFunc(g.session)},
		{http.MethodGet, "/ws", upgradesOnly(g.guard.Require(wsauth.Access)(http.HandlerFunc(g.echo)))},
		{http.MethodGet, "/{$}", files.handler("index.html")},
	}
	return append(own, docsRoutes(files, files.handler("openapi.json"))...)
}

// newMux serves the routes. Any other method on their paths is 405 with Allow (RFC 9110 section 15.5.6), any other path 404.
func newMux(routes []route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		allow := r.method
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		mux.Handle(r.method+" "+r.path, r.handler)
		mux.Handle(r.path, methodNotAllowed(allow))
	}
	mux.Handle("/", problem(http.StatusNotFound, "", "There is nothing at this address"))
	return mux
}

func methodNotAllowed(allow string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		problem(http.StatusMethodNotAllowed, "method_not_allowed", "This address answers "+allow)(w, r)
	})
}
