package gateway

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"wsauth/internal/forwarded"
)

// cookiesWarning is what a login is told whose cookies do not last.
const cookiesWarning = "Browsers drop the cookies of this answer: they are for HTTPS, and this request came over plain HTTP"

// dropsCookies reports whether the client of r drops the cookies of a login:
// they are Secure, and the client used plain HTTP. A trusted proxy says so in
// r already. What only a proxy that is not trusted says, or a browser on a
// page over TLS, is no reason to believe r, but enough to keep silent.
func (g *Gateway) dropsCookies(r *http.Request) bool {
	if !g.cookies.IsSecure(r) || forwarded.Scheme(r) == "https" {
		return false
	}
	// Browsers send Sec-Fetch-Site to trustworthy addresses only.
	if page, err := url.Parse(r.Header.Get("Origin")); err == nil && page.Scheme == "https" || r.Header.Get("Sec-Fetch-Site") != "" {
		return false
	}
	return !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") && !strings.Contains(strings.ToLower(r.Header.Get("Forwarded")), "proto=https")
}

// lostLogins logs logins whose cookies do not last, every ten seconds at most.
type lostLogins struct {
	mu    sync.Mutex
	count int // since it was told
	told  time.Time
}

func (l *lostLogins) add(log *slog.Logger, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if now := time.Now(); l.told.IsZero() || now.Sub(l.told) >= 10*time.Second {
		log.Warn("a login by cookie over plain HTTP cannot last, since browsers drop its cookies: serve TLS (tls.cert), or name the proxy that does in trusted_proxies",
			"host", printable(r.Host), "remote", r.RemoteAddr, "logins", l.count)
		l.count, l.told = 0, now
	}
}
