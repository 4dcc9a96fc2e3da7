package gateway

import (
	"net/http"
	"slices"

	"wsauth"
	"wsauth/internal/wsconn"
)

// isQuick reports whether nothing that a handshake needs can take long, so that an event loop may serve it: nobody else is asked for a
// key, a ticket or a revocation, and the upstream is on this machine. That is so as long as it is served by these routes.
func (g *Gateway) isQuick(r *http.Request, by *routing) bool {
	if g.hasProviders || g.guard.Ready() != nil || g.isOwn(r.URL.Path, by) || needsReadings(r.URL) {
		return false
	}
	p := by.router.find(r)
	return p != nil && p.quick && (r.URL.RawQuery == "" || !p.takesTickets)
}

// routingFor is what counts for a request.
func (g *Gateway) routingFor(w http.ResponseWriter) *routing {
	if direct, ok := wsconn.AsDirect(w); ok {
		if a, ok := direct.(*answer); ok && a.quick != nil {
			return a.quick
		}
	}
	return g.routing.Load()
}

// isQuickRoute is the part of it that all requests have in common. To sign an
// assertion takes a millisecond with some keys, and a refresh token has to be
// looked up in the store.
func (p *proxy) isQuickRoute(locations []wsauth.Location) bool {
	return p.pool.Near() && p.route.Assertion == "" && p.route.Requirement != wsauth.Refresh && (p.route.Public || !slices.ContainsFunc(locations, takesLong))
}

// takesLong reports whether a credential of that location may be more than a token in the head of the request. What is not known may.
func takesLong(l wsauth.Location) bool {
	switch l.(type) {
	case wsauth.Header, wsauth.Query, wsauth.Subprotocol, *wsauth.Cookies, wsauth.Ticket: // a ticket is in the query, see isQuick
		return false
	}
	return true
}

func isTicket(l wsauth.Location) bool {
	_, ok := l.(wsauth.Ticket)
	return ok
}
