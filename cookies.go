package wsauth

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/httpx"
	"wsauth/token"
)

// Cookies extracts tokens from cookies that pages cannot read. With each of
// them comes a second cookie that pages can read. The second one contains the
// CSRF value, which is also a claim of the token. The page repeats the value in
// a header, or in the query of a WebSocket URL. A page of another site cannot
// read the value, and cannot plant another one, because it must match the
// signed token (double submit).
//
// Cookies both reads and sets the cookies; see [Cookies.SetTokens]. The zero
// value has safe defaults.
//
// On all hosts except localhost, the cookies are Secure, and the names of the
// two token cookies have the prefix "__Host-" ("__Secure-" if Domain or a path
// is set). Browsers accept cookies with either prefix only over TLS, and those
// with "__Host-" only from the host itself.
type Cookies struct {
	// Access and Refresh describe the cookies of access and refresh tokens.
	Access, Refresh CookieSpec

	// CSRFQuery is the query parameter in which a WebSocket handshake repeats
	// the CSRF value. Default: "csrf_token".
	CSRFQuery string

	// CSRFMethods are the methods that require the CSRF value; WebSocket
	// handshakes always do. Default: POST, PUT, PATCH, DELETE.
	CSRFMethods []string

	// InsecureNoCSRF disables the double submit. A handshake then requires an
	// Origin header.
	InsecureNoCSRF bool

	// Domain makes browsers send the cookies to all hosts below it. Default:
	// only to this host.
	Domain string

	// SameSite is the attribute of the cookies. Default: Lax. It does not
	// protect against other hosts of the same site.
	SameSite http.SameSite

	// MaxAge is how long browsers keep the cookies, in whole seconds. Default:
	// until the browser is closed.
	MaxAge time.Duration

	// InsecureHTTP sets the cookies without Secure and without prefix on every
	// host, for networks without TLS.
	InsecureHTTP bool
}

// A CookieSpec describes the two cookies of one type of token.
type CookieSpec struct {
	// Name is the name of the cookie that contains the token, without prefix.
	// Default: "access_token_cookie" or "refresh_token_cookie".
	Name string

	// Path is its path. Default: "/".
	Path string

	// CSRFName is the name of the cookie that contains the CSRF value.
	// Default: "csrf_access_token" or "csrf_refresh_token".
	CSRFName string

	// CSRFPath is its path. Default: "/".
	CSRFPath string

	// CSRFHeader is the header in which a request repeats the CSRF value.
	// Default: "X-CSRF-Token".
	CSRFHeader string
}

// spec returns the cookies of a type of token, with defaults.
func (c Cookies) spec(typ token.Type) CookieSpec {
	if typ == token.TypeRefresh {
		return c.Refresh.withDefaults("refresh_token_cookie", "csrf_refresh_token")
	}
	return c.Access.withDefaults("access_token_cookie", "csrf_access_token")
}

func (s CookieSpec) withDefaults(name, csrfName string) CookieSpec {
	return CookieSpec{
		Name:       cmp.Or(s.Name, name),
		Path:       cmp.Or(s.Path, "/"),
		CSRFName:   cmp.Or(s.CSRFName, csrfName),
		CSRFPath:   cmp.Or(s.CSRFPath, "/"),
		CSRFHeader: cmp.Or(s.CSRFHeader, "X-CSRF-Token"),
	}
}

// maxCookie limits the length of a cookie's name and value together. Browsers
// silently drop longer ones (RFC 6265bis section 5.6).
const maxCookie = 4096

func (c Cookies) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("Cookies: "+format, args...)) }
	seen := map[string]bool{}
	checkCookie := func(field, name, path string) {
		if (&http.Cookie{Name: name, Value: "x"}).Valid() != nil {
			fault("%sName: %q is not a valid cookie name", field, name)
		}
		if (&http.Cookie{Name: "x", Value: "x", Path: path}).Valid() != nil || path[0] != '/' {
			fault("%sPath: %q is not a valid cookie path", field, path)
		}
		if seen[name] {
			fault("%sName: two cookies have the name %s", field, name)
		}
		seen[name] = true
	}
	access, refresh := c.spec(token.TypeAccess), c.spec(token.TypeRefresh)
	checkCookie("Access.", access.Name, access.Path)
	checkCookie("Refresh.", refresh.Name, refresh.Path)
	checkCookie("Access.CSRF", access.CSRFName, access.CSRFPath)
	checkCookie("Refresh.CSRF", refresh.CSRFName, refresh.CSRFPath)
	if c.Domain != "" && (&http.Cookie{Name: "x", Value: "x", Domain: c.Domain}).Valid() != nil {
		fault("Domain: %q is not a valid cookie domain", c.Domain)
	}
	if !httpx.IsToken(access.CSRFHeader) {
		fault("Access.CSRFHeader: %q is not a valid header name", access.CSRFHeader)
	}
	if !httpx.IsToken(refresh.CSRFHeader) {
		fault("Refresh.CSRFHeader: %q is not a valid header name", refresh.CSRFHeader)
	}
	if err := (Query{Name: c.csrfQuery()}).validate(); err != nil {
		fault("CSRFQuery: %q has characters that a URL escapes", c.CSRFQuery)
	}
	for _, m := range c.CSRFMethods {
		if m == "" || m != strings.ToUpper(m) { // methods are case-sensitive (RFC 9110 section 9.1)
			fault("CSRFMethods: %q is not a method in capital letters", m)
		}
	}
	switch {
	case c.MaxAge < 0:
		fault("MaxAge is negative; use Clear to delete cookies")
	case c.MaxAge%time.Second != 0:
		fault("MaxAge: %v is not in whole seconds", c.MaxAge)
	}
	if c.SameSite == http.SameSiteNoneMode && c.InsecureHTTP {
		fault("SameSite=None needs Secure, which InsecureHTTP switches off")
	}
	return errors.Join(faults...)
}

// Extract returns the token cookie for q, and the CSRF value if r requires
// one. Two cookies of the same name are refused: another host of the site may
// have planted one.
func (c Cookies) Extract(r *http.Request, q Requirement) (Credential, error) {
	spec := c.spec(q.Type())
	raw, err := cookieValue(r, c.prefixed(r, spec))
	if err != nil || raw == "" {
		return Credential{}, err
	}
	cred := Credential{Token: raw, Ambient: true, CSRFRequired: c.needsCSRF(r)}
	if !cred.CSRFRequired {
		return cred, nil
	}
	cred.CSRF, err = c.submitted(r, spec)
	return cred, err
}

// needsCSRF reports whether r must repeat the CSRF value.
func (c Cookies) needsCSRF(r *http.Request) bool {
	if c.InsecureNoCSRF {
		return false
	}
	if len(c.CSRFMethods) > 0 {
		return isUpgrade(r) || slices.Contains(c.CSRFMethods, r.Method)
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return isUpgrade(r)
}

// submitted returns the CSRF value that the page repeats. It does not read
// cookies, which browsers send on their own.
func (c Cookies) submitted(r *http.Request, spec CookieSpec) (string, error) {
	header := r.Header.Get(spec.CSRFHeader)
	if header != "" || !isUpgrade(r) {
		return header, nil
	}
	return queryValue(r.URL.RawQuery, c.csrfQuery())
}

// ambient marks extractors of credentials that browsers send on their own.
func (c Cookies) ambient() {}

// missing returns "Missing cookie access_token_cookie", with the configured
// name.
func (c Cookies) missing(q Requirement) string { return "Missing cookie " + c.spec(q.Type()).Name }

// Strip removes the cookies and the CSRF values.
func (c Cookies) Strip(r *http.Request) {
	stripQuery(r, c.csrfQuery())
	access, refresh := c.spec(token.TypeAccess), c.spec(token.TypeRefresh)
	r.Header.Del(access.CSRFHeader)
	r.Header.Del(refresh.CSRFHeader)
	stripCookies(r, func(name string) bool {
		bare := strings.TrimPrefix(strings.TrimPrefix(name, hostPrefix), securePrefix)
		return bare == access.Name || bare == refresh.Name || name == access.CSRFName || name == refresh.CSRFName
	})
}

func (c Cookies) csrfQuery() string { return cmp.Or(c.CSRFQuery, "csrf_token") }

// Prefixes of cookie names (RFC 6265bis section 4.1.3).
const (
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"
)

// prefixed returns the name of the token cookie of spec with its prefix.
func (c Cookies) prefixed(r *http.Request, spec CookieSpec) string {
	switch {
	case !c.secure(r):
		return spec.Name
	case c.Domain == "" && spec.Path == "/":
		return hostPrefix + spec.Name
	}
	return securePrefix + spec.Name
}

// IsSecure reports whether cookies set in the response to r are Secure, and so
// may have a prefix.
func (c Cookies) IsSecure(r *http.Request) bool { return c.secure(r) }

// secure reports whether cookies of r's host are Secure. They are, except on a
// developer's own machine. Proxies may pass on a loopback Host, so r must also
// show no sign of a proxy.
func (c Cookies) secure(r *http.Request) bool {
	if c.InsecureHTTP {
		return false
	}
	if forwarded.Scheme(r) == "https" || !isLoopback(r.Host) {
		return true
	}
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	for _, name := range [...]string{"Origin", "Referer"} {
		value := r.Header.Get(name)
		if page, err := url.Parse(value); value != "" && (err != nil || !isLoopback(page.Host)) {
			return true
		}
	}
	return false
}

// isLoopback reports whether host, with or without a port, names this machine.
func isLoopback(host string) bool {
	if strings.Contains(host, ":") { // avoids the allocated error of SplitHostPort
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	if strings.HasSuffix(host, ".localhost") { // browsers use no resolver (RFC 6761 section 6.3)
		return true
	}
	return httpx.IsLoopback(strings.Trim(host, "[]"))
}
