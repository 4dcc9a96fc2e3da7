package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// CheckAdminHost reports what is wrong with a name for [AdminConfig.Host].
func CheckAdminHost(name string) error {
	if name == "" || strings.HasPrefix(name, "*") {
		return errors.New("a whole name is needed, such as admin.app.example")
	}
	return checkHost(name)
}

// hereOnly refuses what was sent to a name that is neither of this machine nor name. A page whose own name was made to resolve to this
// machine, by whoever owns it, is of the same origin as the API for its browser, which then sends neither Origin nor, without TLS,
// Sec-Fetch-Site, and lets it read the answers (DNS rebinding).
func hereOnly(name string, next http.Handler) http.Handler {
	refused := problemHandler(http.StatusForbidden, "host_not_allowed", "This is to be asked for by an address of this machine, by localhost, or by the name in its configuration")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHere(r.Host, name) {
			refused(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isHere reports whether a Host field is a loopback address, localhost or name, with whatever port: one may be forwarded to ours.
func isHere(field, name string) bool {
	if !isPlainHost(field) {
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
