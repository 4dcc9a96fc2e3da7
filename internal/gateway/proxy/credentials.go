package proxy

import (
	"net/http"
	"slices"
	"strings"

	"wsauth"
)

// noExtractor is the extractor of public routes. It finds and removes nothing.
type noExtractor struct{}

// Extract returns the zero Credential.
func (noExtractor) Extract(*http.Request, wsauth.Requirement) (wsauth.Credential, error) {
	return wsauth.Credential{}, nil
}

// Strip does not change the request.
func (noExtractor) Strip(*http.Request) {}

// stripOwn removes all that this gateway accepts as a credential from a
// request to an upstream: the cookies of its login, its tickets and its
// tokens, wherever they are. It changes r, which must not be shared.
func (p *proxy) stripOwn(r *http.Request) {
	if p.route.KeepCredential {
		return
	}
	p.stripLogin(r.Header)
	p.routes.ownTokens.strip(r)
}

// stripLogin removes the cookies of the gateway's own login. Browsers send them
// to every route, even to one that reads no cookies (R12).
func (p *proxy) stripLogin(h http.Header) {
	if strip := p.routes.config.StripLogin; strip != nil {
		strip(h)
	}
}

// protectLogin removes from an upstream's answer what would change the
// gateway's own login: cookies with its names, which would replace or end the
// session, and directives to clear all cookies.
func (p *proxy) protectLogin(answer http.Header) {
	if p.route.KeepCredential || p.routes.config.StripLogin == nil {
		return
	}
	if lines := answer["Set-Cookie"]; len(lines) > 0 {
		answer["Set-Cookie"] = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
			// A browser sends a cookie without a name as its value alone, so
			// "=name=value" is treated as a cookie called name.
			name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
			sent := http.Header{"Cookie": {name + "=x"}}
			p.stripLogin(sent)
			return len(sent) == 0
		})
	}
	protectCookies(answer)
}

// clearable are the directives of Clear-Site-Data that do not affect cookies.
var clearable = map[string]bool{
	`"cache"`: true, `"clientHints"`: true, `"executionContexts"`: true, `"prefetchCache"`: true, `"prerenderCache"`: true, `"storage"`: true,
}

// protectCookies removes all directives from Clear-Site-Data that are not in
// clearable.
func protectCookies(answer http.Header) {
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
