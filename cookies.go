package wsauth

import (
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

// Cookies is the location of tokens in cookies that pages cannot read. Each
// has a second cookie that pages can read: the CSRF value, which is also a
// claim of the token. The page repeats the value in a header, or in the query
// of a WebSocket URL. A page of another site cannot do so, and cannot plant a
// value, because it must match the signed token (double submit).
//
// Cookies both reads and sets the cookies; see [Cookies.SetAccess]. The zero
// value has safe defaults. Pass a pointer to the guard.
//
// On all hosts except localhost, the cookies are Secure, and the names of the
// two token cookies have the prefix "__Host-" ("__Secure-" if Domain or a path
// is set), with which browsers accept them only from the host itself over TLS.
type Cookies struct {
	// Access and Refresh are the names of the token cookies, without prefix.
	// Default: "access_token_cookie" and "refresh_token_cookie".
	Access, Refresh string

	// AccessPath and RefreshPath are the paths of the cookies. Default: "/".
	AccessPath, RefreshPath string

	// AccessCSRF and RefreshCSRF are the names of the cookies that pages read.
	// Default: "csrf_access_token" and "csrf_refresh_token".
	AccessCSRF, RefreshCSRF string

	// AccessCSRFPath and RefreshCSRFPath are their paths. Default: "/".
	AccessCSRFPath, RefreshCSRFPath string

	// AccessCSRFHeader and RefreshCSRFHeader are the headers in which a
	// request repeats the CSRF value. Default: "X-CSRF-Token".
	AccessCSRFHeader, RefreshCSRFHeader string

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
	// protect from other hosts of the same site.
	SameSite http.SameSite

	// MaxAge is how long browsers keep the cookies. Default: until the browser
	// is closed.
	MaxAge time.Duration

	// InsecureHTTP sets the cookies without Secure and without prefix on every
	// host, for networks without TLS.
	InsecureHTTP bool
}

// maxCookie is the maximum length of a cookie's name and value together:
// browsers silently drop longer ones (RFC 6265bis section 5.6).
const maxCookie = 4096

func (c *Cookies) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("Cookies: "+format, args...)) }
	names := []struct{ field, name, path string }{
		{"Access", c.name(token.TypeAccess), c.path(token.TypeAccess)},
		{"Refresh", c.name(token.TypeRefresh), c.path(token.TypeRefresh)},
		{"AccessCSRF", c.csrfName(token.TypeAccess), c.csrfPath(token.TypeAccess)},
		{"RefreshCSRF", c.csrfName(token.TypeRefresh), c.csrfPath(token.TypeRefresh)},
	}
	for i, n := range names {
		if (&http.Cookie{Name: n.name, Value: "x"}).Valid() != nil {
			fault("%s: %q is no name of a cookie", n.field, n.name)
		}
		if (&http.Cookie{Name: "x", Value: "x", Path: n.path}).Valid() != nil || n.path[0] != '/' {
			fault("%sPath: %q is no path of a cookie", n.field, n.path)
		}
		for _, other := range names[:i] {
			if n.name == other.name {
				fault("%s: two cookies have the name %s", n.field, n.name)
			}
		}
	}
	if c.Domain != "" && (&http.Cookie{Name: "x", Value: "x", Domain: c.Domain}).Valid() != nil {
		fault("Domain: %q is no domain of a cookie", c.Domain)
	}
	if !httpx.IsToken(c.csrfHeader(token.TypeAccess)) {
		fault("AccessCSRFHeader: %q is no name of a header", c.AccessCSRFHeader)
	}
	if !httpx.IsToken(c.csrfHeader(token.TypeRefresh)) {
		fault("RefreshCSRFHeader: %q is no name of a header", c.RefreshCSRFHeader)
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
func (c *Cookies) Extract(r *http.Request, q Requirement) (Credential, error) {
	typ := q.Type()
	raw, err := cookieValue(r, c.prefixed(r, typ))
	if err != nil || raw == "" {
		return Credential{}, err
	}
	cred := Credential{Token: raw, Ambient: true, CSRFRequired: c.needsCSRF(r)}
	if !cred.CSRFRequired {
		return cred, nil
	}
	cred.CSRF, err = c.submitted(r, typ)
	return cred, err
}

// needsCSRF reports whether r must repeat the CSRF value.
func (c *Cookies) needsCSRF(r *http.Request) bool {
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
// cookies, which browsers send by themselves.
func (c *Cookies) submitted(r *http.Request, typ token.Type) (string, error) {
	header := r.Header.Get(c.csrfHeader(typ))
	if header != "" || !isUpgrade(r) {
		return header, nil
	}
	return queryValue(r.URL.RawQuery, c.csrfQuery())
}

// ambient marks a location of credentials that browsers send by themselves.
func (c *Cookies) ambient() {}

// Missing returns "Missing cookie access_token_cookie", with the configured
// name.
func (c *Cookies) Missing(q Requirement) string { return "Missing cookie " + c.name(q.Type()) }

// Strip removes the cookies and the CSRF values.
func (c *Cookies) Strip(r *http.Request) {
	stripQuery(r, c.csrfQuery())
	for _, typ := range tokenTypes {
		r.Header.Del(c.csrfHeader(typ))
	}
	stripCookies(r, func(name string) bool {
		for _, typ := range tokenTypes {
			if name == c.csrfName(typ) || strings.TrimPrefix(strings.TrimPrefix(name, hostPrefix), securePrefix) == c.name(typ) {
				return true
			}
		}
		return false
	})
}

var tokenTypes = [...]token.Type{token.TypeAccess, token.TypeRefresh}

// pick returns the value for typ, or its default.
func pick(typ token.Type, access, refresh, accessDefault, refreshDefault string) string {
	v, d := access, accessDefault
	if typ == token.TypeRefresh {
		v, d = refresh, refreshDefault
	}
	if v == "" {
		return d
	}
	return v
}

func (c *Cookies) name(typ token.Type) string {
	return pick(typ, c.Access, c.Refresh, "access_token_cookie", "refresh_token_cookie")
}

func (c *Cookies) path(typ token.Type) string {
	return pick(typ, c.AccessPath, c.RefreshPath, "/", "/")
}

func (c *Cookies) csrfName(typ token.Type) string {
	return pick(typ, c.AccessCSRF, c.RefreshCSRF, "csrf_access_token", "csrf_refresh_token")
}

func (c *Cookies) csrfPath(typ token.Type) string {
	return pick(typ, c.AccessCSRFPath, c.RefreshCSRFPath, "/", "/")
}

func (c *Cookies) csrfHeader(typ token.Type) string {
	return pick(typ, c.AccessCSRFHeader, c.RefreshCSRFHeader, "X-CSRF-Token", "X-CSRF-Token")
}

func (c *Cookies) csrfQuery() string {
	if c.CSRFQuery == "" {
		return "csrf_token"
	}
	return c.CSRFQuery
}

// Prefixes of cookie names (RFC 6265bis section 4.1.3).
const (
	hostPrefix   = "__Host-"
	securePrefix = "__Secure-"
)

// prefixed returns the name of the cookie of typ with its prefix.
func (c *Cookies) prefixed(r *http.Request, typ token.Type) string {
	switch {
	case !c.secure(r):
		return c.name(typ)
	case c.Domain == "" && c.path(typ) == "/":
		return hostPrefix + c.name(typ)
	}
	return securePrefix + c.name(typ)
}

// IsSecure reports whether cookies set in the response to r are Secure, and so
// may have a prefix.
func (c *Cookies) IsSecure(r *http.Request) bool { return c.secure(r) }

// secure reports whether cookies of r's host are Secure. They are, except on a
// developer's own machine. Proxies may pass on a loopback Host, so r must also
// show no sign of a proxy.
func (c *Cookies) secure(r *http.Request) bool {
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
