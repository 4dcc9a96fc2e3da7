package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
)

// CheckAdminHost returns an error if name cannot be [AdminConfig.Host].
func CheckAdminHost(name string) error {
	if name == "" || strings.HasPrefix(name, "*") {
		return errors.New("a whole name is needed, such as admin.app.example")
	}
	return proxy.CheckHost(name)
}

// hereOnly refuses requests that were sent to a host other than name,
// localhost and the loopback addresses. It prevents DNS rebinding: an attacker
// makes the name of a page resolve to this machine. To the browser, page and
// API then have the same origin: it sends no Origin and, without TLS, no
// Sec-Fetch-Site, and the page can read the answers.
func hereOnly(name string, next http.Handler) http.Handler {
	refused := telemetry.Problem(http.StatusForbidden, "host_not_allowed", "The host must be a loopback address, localhost or the name in admin.host")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHere(r.Host, name) {
			refused(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isHere reports whether a Host field is a loopback address, localhost or
// name. The port may be any, since another port may be forwarded to ours.
func isHere(field, name string) bool {
	if !httpx.IsHost(field) {
		return false
	}
	host := field
	if h, _, err := net.SplitHostPort(field); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback() || host == "localhost" || name != "" && host == name
}
