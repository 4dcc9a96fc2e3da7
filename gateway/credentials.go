package gateway

import (
	"net/http"
	"slices"
	"strings"

	"wsauth"
)

// unasked is the location of a route that asks nobody who they are: nothing is
// looked for, and nothing is removed.
type unasked struct{}

// Extract finds nothing.
func (unasked) Extract(*http.Request, wsauth.Requirement) (wsauth.Credential, error) {
	return wsauth.Credential{}, nil
}

// Missing is never needed.
func (unasked) Missing(wsauth.Requirement) string { return "" }

// Strip leaves r as it is.
func (unasked) Strip(*http.Request) {}

// stripOwn removes from a request to an upstream what is good at this gateway:
// the cookies of its login, its tickets and its tokens, wherever they stand.
// r must be the caller's own.
func (p *proxy) stripOwn(r *http.Request) {
	if p.route.KeepCredential {
		return
	}
	p.gateway.stripLogin(r.Header)
	p.gateway.own.strip(r)
}

// stripLogin removes the cookies of the gateway's own login, which browsers
// send to every route, wherever that looks for tokens (R12).
func (g *Gateway) stripLogin(h http.Header) {
	if g.logsIn {
		g.login.StripCookies(h)
	}
}

// keepLogin removes from the head of an upstream's answer what would touch the
// gateway's own login: cookies of its names, which would be another session or
// none, and the orders to clear all cookies.
func (p *proxy) keepLogin(answer http.Header) {
	if p.route.KeepCredential || !p.gateway.logsIn {
		return
	}
	if lines := answer["Set-Cookie"]; len(lines) > 0 {
		answer["Set-Cookie"] = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			// A browser sends a cookie without a name as its value alone.
			name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
			sent := http.Header{"Cookie": {name + "=x"}}
			p.gateway.stripLogin(sent)
			return len(sent) == 0
		})
	}
	keepCookies(answer)
}

// clearable are the directives of Clear-Site-Data that leave cookies alone.
var clearable = map[string]bool{
	`"cache"`: true, `"clientHints"`: true, `"executionContexts"`: true, `"prefetchCache"`: true, `"prerenderCache"`: true, `"storage"`: true,
}

// keepCookies removes from Clear-Site-Data all directives but those that are
// known to leave cookies alone.
func keepCookies(answer http.Header) {
	lines := answer["Clear-Site-Data"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			if directive = strings.Trim(directive, " \t"); clearable[directive] {
				kept = append(kept, directive)
			}
		}
	}
	delete(answer, "Clear-Site-Data")
	if len(kept) > 0 {
		answer.Set("Clear-Site-Data", strings.Join(kept, ", "))
	}
}
