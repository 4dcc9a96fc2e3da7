package gateway

import (
	"net/http"

	"wsauth"
)

// unread are locations that are not looked at, of a route that asks nobody who they are: what they would find is still removed.
type unread []wsauth.Location

// Extract finds nothing.
func (unread) Extract(*http.Request, wsauth.Requirement) (wsauth.Credential, error) {
	return wsauth.Credential{}, nil
}

// Missing is never needed.
func (unread) Missing(wsauth.Requirement) string { return "" }

// Strip removes what the locations would find.
func (u unread) Strip(r *http.Request) {
	for _, l := range u {
		l.Strip(r)
	}
}

// guardless removes the credentials from a request that no guard has seen, and the offer to leave HTTP.
func (p *proxy) guardless(r *http.Request) {
	locations := p.gateway.locations
	if p.route.Locations != nil {
		locations = p.route.Locations
	}
	if !p.route.KeepCredential {
		unread(locations).Strip(r)
	}
}
