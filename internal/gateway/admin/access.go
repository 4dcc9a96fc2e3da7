package admin

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/hostaddr"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
)

// withShortHead refuses requests whose head is too long; see
// [problem.CheckHead].
func withShortHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := problem.CheckHead(w, r, problem.MaxHeaders); fault != nil {
			telemetry.AnswerProblem(w, r, *fault)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// noPages refuses requests that a browser sends for a web page. A page could
// reach this API under a name that resolves to this machine, and would act with
// the rights of the user at the browser. No page needs the API.
func noPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range [...]string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"} {
			if len(r.Header[name]) > 0 {
				refuse(w, r, http.StatusForbidden, "origin_not_allowed", "Web pages may not use this API")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// CheckHost returns an error if name cannot be [Config.Host].
func CheckHost(name string) error {
	if name == "" || strings.HasPrefix(name, "*") {
		return errors.New("a whole name is needed, such as admin.app.example")
	}
	return hostaddr.CheckPattern(name)
}

// hereOnly refuses requests that were sent to a host other than name,
// localhost and the loopback addresses. It prevents DNS rebinding: an attacker
// makes the name of a page resolve to this machine. To the browser, page and
// API then have the same origin: it sends no Origin and, without TLS, no
// Sec-Fetch-Site, and the page can read the answers.
func hereOnly(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHere(r.Host, name) {
			refuse(w, r, http.StatusForbidden, "host_not_allowed", "The host must be a loopback address, localhost or the name in admin.host")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isHere reports whether a Host field is a loopback address, localhost or name.
// Any port is allowed, since another port may be forwarded to ours.
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
