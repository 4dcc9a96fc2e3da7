package proxy

import (
	"slices"

	"wsauth"
)

// isQuickRoute reports whether the route allows [Match.IsQuick], whatever the
// request is. With some keys, signing an assertion takes a millisecond, and a
// refresh token has to be looked up in the store.
func (p *proxy) isQuickRoute(extractors []wsauth.Extractor) bool {
	return p.pool.Near() && p.route.Assertion == "" && p.route.Requirement != wsauth.Refresh && (p.route.Public || !slices.ContainsFunc(extractors, takesLong))
}

// takesLong reports whether verifying a credential of that extractor may need
// more than a token in the head of the request. It returns true for unknown
// types.
func takesLong(l wsauth.Extractor) bool {
	switch l.(type) {
	// A ticket is in the query, which [Match.IsQuick] checks.
	case wsauth.Header, wsauth.Query, wsauth.Subprotocol, wsauth.Cookies, wsauth.Ticket:
		return false
	}
	return true
}

func isTicket(l wsauth.Extractor) bool {
	_, ok := l.(wsauth.Ticket)
	return ok
}
