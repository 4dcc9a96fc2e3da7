package proxy

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
)

// A CORSPolicy is an immutable, compiled form of a [CORS] that was checked.
type CORSPolicy struct {
	name        string // the route, for the log
	any         bool
	exact       map[string]bool
	patterns    []originPattern
	credentials bool

	methods, headers, expose, maxAge string // values of headers
}

// newCORSPolicy returns the policy of a route, or nil if the gateway sets no
// CORS headers there. headers are those in which the route looks for
// credentials.
func newCORSPolicy(name string, c *CORS, headers []string) *CORSPolicy {
	if c == nil || c.Upstream {
		return nil
	}
	p := &CORSPolicy{name: name, exact: map[string]bool{}, credentials: c.Credentials}
	for _, o := range c.Origins {
		if pattern, err := parseOriginPattern(o); err == nil {
			p.patterns = append(p.patterns, pattern)
		} else if o == everyOrigin {
			p.any = true
		} else {
			p.exact[o] = true
		}
	}
	methods, expose := c.Methods, c.Expose
	if methods == nil {
		methods = defaultMethods
	}
	if expose == nil {
		expose = []string{"Retry-After"}
	}
	if headers = append(headers, "Content-Type"); c.Headers != nil {
		headers = c.Headers
	}
	p.methods = strings.Join(methods, ", ")
	p.headers, p.expose = listHeaders(headers), listHeaders(expose)
	p.maxAge = strconv.Itoa(int(max(0, LimitOr(c.MaxAge, defaultCORSMaxAge)) / time.Second))
	return p
}

// listHeaders joins the names of headers, each once, in canonical form.
func listHeaders(names []string) string {
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = http.CanonicalHeaderKey(name)
	}
	slices.Sort(canonical)
	return strings.Join(slices.Compact(canonical), ", ")
}

// allow returns the value of Access-Control-Allow-Origin for a request with
// these Origin fields, or "" if its page may not read the answer.
func (p *CORSPolicy) allow(lines []string) string {
	switch {
	case len(lines) != 1:
		return ""
	case p.any:
		return everyOrigin
	case p.exact[lines[0]] || slices.ContainsFunc(p.patterns, func(o originPattern) bool { return o.matches(lines[0]) }):
		return lines[0]
	}
	return ""
}

// allows reports whether pages of an origin may read answers. It returns false
// if p is nil.
func (p *CORSPolicy) allows(origin string) bool {
	return p != nil && p.allow([]string{origin}) != ""
}

// write replaces the CORS headers in h, which may be an upstream's, by those
// of p for a request with these Origin fields.
func (p *CORSPolicy) write(h http.Header, lines []string) {
	dropCORSFields(h)
	addVary(h, "Origin")
	allowed := p.allow(lines)
	if allowed == "" {
		return
	}
	h["Access-Control-Allow-Origin"] = []string{allowed}
	if p.credentials {
		h["Access-Control-Allow-Credentials"] = []string{"true"}
	}
	if p.expose != "" {
		h["Access-Control-Expose-Headers"] = []string{p.expose}
	}
}

// refusePreflight answers the preflight of a page that may not read answers.
// The answer has no CORS headers, so the browser does not send the page's
// request.
var refusePreflight = telemetry.Problem(http.StatusForbidden, "origin_not_allowed", "Pages of this origin may not read the answers of this address")

// preflight answers a preflight. It echoes nothing of the request.
// Access-Control-Request-Private-Network gets no answer, so pages on the
// Internet cannot reach a private network.
func (p *CORSPolicy) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	p.write(h, r.Header["Origin"])
	addVary(h, "Access-Control-Request-Method")
	addVary(h, "Access-Control-Request-Headers")
	if h["Access-Control-Allow-Origin"] == nil {
		refusePreflight(w, r)
		return
	}
	delete(h, "Access-Control-Expose-Headers")
	h["Access-Control-Allow-Methods"] = []string{p.methods}
	if p.headers != "" {
		h["Access-Control-Allow-Headers"] = []string{p.headers}
	}
	h["Access-Control-Max-Age"] = []string{p.maxAge}
	w.WriteHeader(http.StatusNoContent)
}

// isCORSField reports whether a header belongs to CORS.
func isCORSField(name string) bool {
	const prefix = "Access-Control-"
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// dropCORSFields removes the CORS headers from h.
func dropCORSFields(h http.Header) {
	for name := range h {
		if isCORSField(name) {
			delete(h, name)
		}
	}
}

// addVary adds a field to Vary, unless it is already there (RFC 9110 section
// 12.5.5).
func addVary(h http.Header, field string) {
	for _, line := range h["Vary"] {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.Trim(item, " \t"); item == "*" || strings.EqualFold(item, field) {
				return
			}
		}
	}
	h["Vary"] = append(slices.Clip(h["Vary"]), field)
}

// isPreflight reports whether r is a CORS preflight, by which a browser asks
// whether it may send a page's request to another origin. A preflight has no
// credentials and no body. All other OPTIONS requests are ordinary requests.
func isPreflight(r *http.Request) bool {
	if r.Method != http.MethodOptions || len(r.Header["Origin"]) != 1 {
		return false
	}
	method := r.Header["Access-Control-Request-Method"]
	if len(method) != 1 || !httpx.IsToken(method[0]) || httpx.AsksForUpgrade(r.Header) {
		return false
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return false
	}
	for _, name := range [...]string{"Authorization", "Cookie", "Proxy-Authorization"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	return true
}
