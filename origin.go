package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"wsauth/internal/forwarded"
	"wsauth/internal/httpx"
)

// An originPolicy says which pages may open sockets.
type originPolicy struct {
	allowed     []string // Config.Origins; the server's own if empty
	any         bool     // Config.AnyOrigin
	insecureAny bool     // Config.InsecureAnyOrigin
	proxies     *forwarded.Policy
}

// check refuses upgrades from pages of other origins. Browsers send the user's
// cookies with such upgrades, and nothing else in the handshake protects the
// user (RFC 6455 section 10.2).
//
// A request without Origin is not from a page, and is accepted here. If only a
// cookie authenticates it, checkCredential refuses it.
func (p *originPolicy) check(r *http.Request) error {
	lines := r.Header["Origin"]
	if len(lines) == 0 || p.insecureAny {
		return nil
	}
	if len(lines) > 1 {
		return refuse(OriginNotAllowed, errors.New("more than one Origin header"))
	}
	if p.any {
		return nil
	}
	origin := httpx.LowerASCII(lines[0])
	if len(p.allowed) > 0 {
		if slices.Contains(p.allowed, origin) {
			return nil
		}
		return refuse(OriginNotAllowed, errors.New("the origin is not one of Config.Origins"))
	}
	if c := p.proxies.Of(r); origin != ownOrigin(c) {
		if c.Scheme = "https"; origin == ownOrigin(c) {
			return refuse(OriginNotAllowed, errors.New("the page has https but the request came by http; add the proxy that terminates TLS to Config.TrustedProxies and let it report the scheme, as in X-Forwarded-Proto, or set Config.ForwardedScheme; or add the origin to Config.Origins"))
		}
		return refuse(OriginNotAllowed, errors.New("the origin is not the server's own; add it to the allowed origins if it is one of yours"))
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return refuse(OriginNotAllowed, errors.New("Sec-Fetch-Site contradicts the origin"))
	}
	return nil
}

// checkCredential refuses an upgrade with a credential that browsers send on
// their own, unless its Origin or a CSRF value shows that one of our pages sent
// it.
func (p *originPolicy) checkCredential(r *http.Request, c Credential) error {
	if !c.Ambient || p.insecureAny {
		return nil
	}
	if p.any {
		return refuse(OriginNotAllowed, errors.New("a browser sent the credential on its own, and Config.AnyOrigin lets pages of every origin open sockets"))
	}
	if len(r.Header["Origin"]) == 0 && !c.CSRFRequired {
		return refuse(OriginNotAllowed, errors.New("a cookie without CSRF protection needs an Origin header"))
	}
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return refuse(OriginNotAllowed, errors.New("a cookie was sent from another site"))
	}
	return nil
}

// checkAnyOrigin reports settings that contradict AnyOrigin or
// InsecureAnyOrigin.
func (c *Config) checkAnyOrigin() []error {
	var faults []error
	if c.InsecureAnyOrigin && len(c.Origins) > 0 {
		faults = append(faults, errors.New("wsauth: Config.InsecureAnyOrigin: contradicts Origins; set one of the two"))
	}
	if !c.AnyOrigin {
		return faults
	}
	if c.InsecureAnyOrigin || len(c.Origins) > 0 {
		faults = append(faults, errors.New("wsauth: Config.AnyOrigin: contradicts Origins and InsecureAnyOrigin; set one of the three"))
	}
	for i, l := range c.Extractors {
		if _, ok := l.(interface{ ambient() }); ok {
			faults = append(faults, fmt.Errorf("wsauth: Config.AnyOrigin: Extractors[%d] reads cookies, which a browser sends on its own: pages of every origin could use those of their visitors", i))
		}
	}
	return faults
}

// ownOrigin returns the origin to which a request was sent.
func ownOrigin(c forwarded.Client) string {
	host := strings.TrimSuffix(httpx.LowerASCII(c.Host), ":"+httpx.DefaultPort(c.Scheme))
	return c.Scheme + "://" + host
}
