package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

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
		p.gateway.stripLogin(r.Header)
	}
}

// stripLogin removes the cookies of the gateway's own login, which browsers send to every route, wherever its locations are (R12). Only
// the cookies: what repeats their CSRF values has names that an upstream may have for its own.
func (g *Gateway) stripLogin(h http.Header) {
	if !g.logsIn || len(h["Cookie"]) == 0 {
		return
	}
	cookies := http.Header{"Cookie": h["Cookie"]}
	g.cookies.Strip(&http.Request{URL: &url.URL{}, Header: cookies})
	deviceCookie.Strip(&http.Request{URL: &url.URL{}, Header: cookies})
	if len(cookies["Cookie"]) == 0 {
		h.Del("Cookie")
		return
	}
	h["Cookie"] = cookies["Cookie"]
}

// keepLogin removes from the answer of an upstream what would set cookies of the gateway's own login: another session, or none.
func (p *proxy) keepLogin(answer http.Header) {
	if p.route.KeepCredential || len(answer["Set-Cookie"]) == 0 {
		return
	}
	answer["Set-Cookie"] = slices.DeleteFunc(slices.Clone(answer["Set-Cookie"]), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		sent := http.Header{"Cookie": {name + "=x"}}
		p.gateway.stripLogin(sent)
		return len(sent) == 0
	})
}
