package gateway

import (
	"net/http"
	"slices"

	"wsauth"
	"wsauth/internal/wsconn"
)

// isQuick reports whether an event loop may serve a handshake because no step
// of it can block: keys, tickets and revocations need no other server, and the
// upstream is on this machine. The result holds as long as the handshake is
// served by these routes.
func (g *Gateway) isQuick(r *http.Request, by *routing) bool {
	if g.hasProviders || g.guard.Ready() != nil || g.isOwn(r.URL.Path, by) || needsReadings(r.URL) {
		return false
	}
	p := by.router.find(r)
	return p != nil && p.quick && (r.URL.RawQuery == "" || !p.takesTickets)
}

// routingFor returns the routes that serve a request. For a handshake on an
// event loop, they are those that isQuick checked.
func (g *Gateway) routingFor(w http.ResponseWriter) *routing {
	if direct, ok := wsconn.AsDirect(w); ok {
		if a, ok := direct.(*answer); ok && a.quick != nil {
			return a.quick
		}
	}
	return g.routing.Load()
}

// isQuickRoute reports whether the route allows isQuick, whatever the request
// is. With some keys, signing an assertion takes a millisecond, and a refresh
// token has to be looked up in the store.
func (p *proxy) isQuickRoute(extractors []wsauth.Extractor) bool {
	return p.pool.Near() && p.route.Assertion == "" && p.route.Requirement != wsauth.Refresh && (p.route.Public || !slices.ContainsFunc(extractors, takesLong))
}

// takesLong reports whether verifying a credential of that extractor may need
// more than a token in the head of the request. It returns true for unknown
// types.
func takesLong(l wsauth.Extractor) bool {
	switch l.(type) {
	// A ticket is in the query, which isQuick checks.
	case wsauth.Header, wsauth.Query, wsauth.Subprotocol, wsauth.Cookies, wsauth.Ticket:
		return false
	}
	return true
}

func isTicket(l wsauth.Extractor) bool {
	_, ok := l.(wsauth.Ticket)
	return ok
}
