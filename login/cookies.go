package login

import (
	"errors"
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

// setCookies sets the cookies of tokens.
func (s *Service) setCookies(w http.ResponseWriter, r *http.Request, t Tokens) error {
	if t.Refresh == nil {
		return s.cookies.SetTokens(w, r, t.Access)
	}
	return s.cookies.SetTokens(w, r, t.Access, t.Refresh)
}

// clearCookies deletes the cookies of a request whose credential is one of
// them. Other cookies are left: they belong to another session of the same
// browser, which would remain valid but could no longer be ended.
func (s *Service) clearCookies(w http.ResponseWriter, r *http.Request) {
	if s.isByCookie(r) {
		s.cookies.Clear(w, r)
	}
}

// isByCookie reports whether the credential of r, which has one, is a cookie.
// If r has another, that was used, or r was refused for having two.
func (s *Service) isByCookie(r *http.Request) bool {
	if !s.hasCookies {
		return false
	}
	for _, l := range s.others {
		if c, err := l.Extract(r, wsauth.Access); err != nil || c.Token != "" {
			return false
		}
	}
	return true
}

// hasCookie reports whether r has a cookie of the service.
func (s *Service) hasCookie(r *http.Request) bool {
	for _, requirement := range [...]wsauth.Requirement{wsauth.Access, wsauth.Refresh} {
		if c, err := s.cookies.Extract(r, requirement); err != nil || c.Token != "" {
			return true
		}
	}
	return false
}

// isDead reports whether err refuses a token that was valid once, and will
// never be valid again.
func isDead(err error) bool {
	return errors.Is(err, wsauth.TokenRevoked) || errors.Is(err, wsauth.TokenExpired) || errors.Is(err, wsauth.SessionEnded)
}

// StripCookies removes the cookies of the service from the header of a
// request: those of tokens, and those by which devices are recognized. It is
// for servers that forward requests.
func (s *Service) StripCookies(h http.Header) {
	if len(h["Cookie"]) == 0 {
		return
	}
	// Only the cookies: the headers and parameters that repeat their CSRF values
	// have names that another server may use itself.
	r := &http.Request{URL: &url.URL{}, Header: http.Header{"Cookie": h["Cookie"]}}
	s.cookies.Strip(r)
	deviceCookie.Strip(r)
	if len(r.Header["Cookie"]) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = r.Header["Cookie"]
}

// losesCookies reports whether r was sent by a page whose browser drops the
// cookies of the answer, because CORS allows it no credentials.
func (s *Service) losesCookies(r *http.Request) bool {
	return s.origins.Check(r) != nil && s.crossOrigin(r) == CrossOriginTokens
}

// cookiesWarning is in the answer to a login whose cookies the browser drops.
const cookiesWarning = "Browsers drop the cookies of this answer: they are for HTTPS, and this request came over plain HTTP"

// dropsCookies reports whether the client of r drops the cookies of a login,
// because they are Secure and the client used plain HTTP. An untrusted proxy,
// or a browser on a page over TLS, may make this wrong; only the warning relies
// on it.
func (s *Service) dropsCookies(r *http.Request) bool {
	if !s.cookies.IsSecure(r) || forwarded.Scheme(r) == "https" {
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
