package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/hostaddr"
	"wsauth/internal/httpx"
)

// CORS allows pages of other origins to read answers, which browsers otherwise
// forbid (the CORS protocol of the Fetch standard). It does not allow sockets:
// [Route.Origins] does. The gateway answers preflights itself, from these
// lists, and replaces the CORS headers of an upstream.
type CORS struct {
	// Origins are the origins whose pages may read answers, each exactly as
	// browsers send it. Without Credentials, three special forms are allowed:
	// a pattern such as "https://*.example.com", in which the star is one
	// label and must not be directly below a public suffix; "null", the origin
	// of sandboxed pages, which any page can give itself; and "*" alone, for
	// every origin. Required.
	Origins []string

	// Credentials allows these pages to send cookies and read the answers.
	// They can then do here whatever their visitors can do.
	Credentials bool

	// Methods are the methods that the pages may use. Browsers always allow
	// GET, HEAD and POST. Default: these three.
	Methods []string

	// Headers are the request headers that the pages may set, in addition to
	// those that browsers always allow. Default: Authorization, Content-Type,
	// and the headers in which the route looks for tokens and CSRF values.
	Headers []string

	// Expose are the response headers that the pages may read, in addition to
	// those that browsers always allow. An empty list means none. Default:
	// Retry-After.
	Expose []string

	// MaxAge is how long browsers may cache the answer to a preflight, at most
	// a day. A negative value means not at all. Default: 10 minutes.
	MaxAge time.Duration

	// Upstream leaves CORS to the upstream. The other fields must be unset.
	// The upstream's CORS headers are passed on unchanged. Preflights are
	// passed on as anonymous requests, even on a guarded route. Clients get the
	// answers without their bodies. A preflight is an OPTIONS request with
	// Origin and Access-Control-Request-Method, and without a body and
	// credentials.
	Upstream bool
}

const (
	defaultCORSMaxAge = 10 * time.Minute
	maxCORSMaxAge     = 24 * time.Hour

	everyOrigin  = "*"
	opaqueOrigin = "null" // the origin of sandboxed frames, data: URLs and local files
)

// defaultMethods are the methods that browsers always allow.
var defaultMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost}

// check returns what is wrong with c.
func (c *CORS) check() fault.List {
	var wrong fault.List
	if c.Upstream {
		if len(c.Origins)+len(c.Methods)+len(c.Headers)+len(c.Expose) > 0 || c.Credentials || c.MaxAge != 0 {
			wrong.Add("Origins", "the upstream sets CORS: remove the other settings")
		}
		return wrong
	}
	c.checkOrigins(&wrong)
	for i, m := range c.Methods {
		field := fmt.Sprintf("Methods[%d]", i)
		switch {
		case m == "*":
			wrong.Add(field, "list each method: with credentials, browsers treat * as a method of that name")
		case !httpx.IsToken(m) || m != strings.ToUpper(m): // a method is a token (RFC 9110 section 9.1)
			wrong.Add(field, "%q is not a method in capital letters, such as PATCH", m)
		case m == http.MethodConnect || m == http.MethodTrace || m == "TRACK":
			wrong.Add(field, "browsers do not let pages send %s", m)
		}
	}
	checkHeaderList(&wrong, "Headers", c.Headers)
	checkHeaderList(&wrong, "Expose", c.Expose)
	if c.MaxAge > maxCORSMaxAge || c.MaxAge > 0 && c.MaxAge < time.Second {
		wrong.Add("MaxAge", "must be from 1s to %s, or none", maxCORSMaxAge)
	}
	return wrong
}

// checkHeaderList checks the header names in a field.
func checkHeaderList(wrong *fault.List, field string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", field, i)
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case name == "*":
			wrong.Add(at, "list each header: * does not include Authorization, and with credentials browsers treat it as a header of that name")
		case !httpx.IsToken(name):
			wrong.Add(at, "%q is not the name of a header", name)
		case canonical == "Cookie" || canonical == "Set-Cookie":
			wrong.Add(at, "browsers do not let pages set or read %s; use credentials to allow cookies", canonical)
		case isCORSField(canonical):
			wrong.Add(at, "%s is one of the headers of CORS itself", canonical)
		}
	}
}

// checkOrigins checks the origins, individually and in combination with
// Credentials.
func (c *CORS) checkOrigins(wrong *fault.List) {
	if len(c.Origins) == 0 {
		wrong.Add("Origins", "at least one is required, such as https://app.example")
	}
	for i, o := range c.Origins {
		field := fmt.Sprintf("Origins[%d]", i)
		isPattern := strings.Contains(o, "*") && o != everyOrigin
		switch {
		case slices.Contains(c.Origins[:i], o):
			wrong.Add(field, "%s is listed twice; remove one of the two", o)
		case o == everyOrigin && len(c.Origins) > 1:
			wrong.Add(field, "* means every origin: remove it, or the other origins")
		case o == everyOrigin && c.Credentials:
			wrong.Add(field, "*: with credentials, pages of every site could act as their visitors: list the origins, or remove credentials")
		case o == opaqueOrigin && c.Credentials:
			wrong.Add(field, "null: with credentials, pages of every site could act as their visitors, since any page can make null its origin: list the origins, or remove credentials")
		case isPattern && c.Credentials:
			wrong.Add(field, "%q: a pattern cannot have credentials, since one forgotten host that it matches could act as its visitors: list each origin, or remove credentials", o)
		case o == everyOrigin, o == opaqueOrigin:
		case isPattern:
			if _, err := parseOriginPattern(o); err != nil {
				wrong.Add(field, "%w", err)
			}
		default:
			if err := checkCORSOrigin(o); err != nil {
				wrong.Add(field, "%w", err)
			}
		}
	}
}

// checkCORSOrigin returns an error if o, which is not a pattern, is not an
// origin.
func checkCORSOrigin(o string) error {
	if err := httpx.CheckOrigin(o); err != nil {
		return err
	}
	u, err := url.Parse(o)
	if err != nil {
		return errors.New("it cannot be parsed") // CheckOrigin has parsed it already
	}
	return hostaddr.CheckHostName(u.Hostname())
}

// checkCORS checks the policy of a route.
func (r *Route) checkCORS() fault.List {
	if r.CORS == nil {
		return nil
	}
	var wrong fault.List
	wrong.AddBelow("CORS", r.CORS.check())
	return wrong
}

// credentialHeaders returns the headers in which clients send tokens for these
// extractors, and those of the CSRF values that accompany cookies.
func credentialHeaders(extractors []wsauth.Extractor) []string {
	names := []string{"Authorization"}
	for _, l := range extractors {
		switch l := l.(type) {
		case wsauth.Header:
			names = append(names, cmp.Or(l.Name, "Authorization"))
		case wsauth.Cookies:
			names = append(names, cmp.Or(l.Access.CSRFHeader, "X-CSRF-Token"), cmp.Or(l.Refresh.CSRFHeader, "X-CSRF-Token"))
		}
	}
	return names
}
