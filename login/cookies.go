package login

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"wsauth"
	"wsauth/internal/forwarded"
	"wsauth/internal/logtext"
)

// cookies sets and reads the cookies in which browsers keep their tokens.
type cookies struct {
	tokens  wsauth.Cookies     // of the guard, or the default
	enabled bool               // the guard accepts them
	others  []wsauth.Extractor // of the guard, besides tokens
}

// set sets the cookies of tokens.
func (c *cookies) set(w http.ResponseWriter, r *http.Request, t Tokens) error {
	if t.Refresh == nil {
		return c.tokens.SetTokens(w, r, t.Access)
	}
	return c.tokens.SetTokens(w, r, t.Access, t.Refresh)
}

// clear deletes the cookies of a request whose credential is one of them. It
// keeps other cookies: they belong to another session of the same browser,
// which would stay valid but could no longer be ended.
func (c *cookies) clear(w http.ResponseWriter, r *http.Request) {
	if c.areCredential(r) {
		c.tokens.Clear(w, r)
	}
}

// areCredential reports whether the credential of r is a cookie. r must have a
// credential. If r has one outside the cookies, either that one was used, or r
// was refused because it has two.
func (c *cookies) areCredential(r *http.Request) bool {
	if !c.enabled {
		return false
	}
	for _, l := range c.others {
		if found, err := l.Extract(r, wsauth.Access); err != nil || found.Token != "" {
			return false
		}
	}
	return true
}

// in reports whether r has one of the cookies.
func (c *cookies) in(r *http.Request) bool {
	for _, requirement := range [...]wsauth.Requirement{wsauth.Access, wsauth.Refresh} {
		if found, err := c.tokens.Extract(r, requirement); err != nil || found.Token != "" {
			return true
		}
	}
	return false
}

// strip removes the cookies, and those of devices, from the header of a
// request.
func (c *cookies) strip(h http.Header) {
	if len(h["Cookie"]) == 0 {
		return
	}
	// Strip only the cookies. The headers and parameters that repeat their CSRF
	// values have names that another server may use itself.
	r := &http.Request{URL: &url.URL{}, Header: http.Header{"Cookie": h["Cookie"]}}
	c.tokens.Strip(r)
	deviceCookie.Strip(r)
	if len(r.Header["Cookie"]) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = r.Header["Cookie"]
}

// cookiesWarning is part of the answer to a login whose cookies the browser
// drops.
const cookiesWarning = "Browsers drop the cookies of this answer: they are for HTTPS, and this request came over plain HTTP"

// areDropped reports whether the client of r drops the cookies of a login,
// because they are Secure and the client used plain HTTP. The result may be
// wrong behind an untrusted proxy or for a page over TLS; only the warning
// relies on it.
func (c *cookies) areDropped(r *http.Request) bool {
	if !c.tokens.IsSecure(r) || forwarded.Scheme(r) == "https" {
		return false
	}
	// Browsers send Sec-Fetch-Site to trustworthy addresses only.
	if page, err := url.Parse(r.Header.Get("Origin")); err == nil && page.Scheme == "https" || r.Header.Get("Sec-Fetch-Site") != "" {
		return false
	}
	return !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") && !strings.Contains(strings.ToLower(r.Header.Get("Forwarded")), "proto=https")
}

// lostCookies logs logins whose cookies browsers drop, at most every ten
// seconds.
type lostCookies struct {
	mu     sync.Mutex
	logins int // since the last log line
	logged time.Time
}

func (l *lostCookies) add(log *slog.Logger, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logins++
	if now := time.Now(); l.logged.IsZero() || now.Sub(l.logged) >= 10*time.Second {
		log.Warn("a login by cookie over plain HTTP cannot last, since browsers drop its cookies: serve TLS (tls.cert), or name the proxy that does in trusted_proxies",
			"host", logtext.Short(r.Host), "remote", r.RemoteAddr, "logins", l.logins)
		l.logins, l.logged = 0, now
	}
}
