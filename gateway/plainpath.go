package gateway

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

var ambiguous = problem(http.StatusBadRequest, "invalid_request", "The path can be read in two ways: write it without empty parts, dots, backslashes, semicolons and needless escapes")

// plainOnly passes on requests whose path means the same to everybody. A server behind the gateway may read "/public/..%2fadmin",
// "/a//b" or "/admin;x" as something else than the path that was matched against the routes, and so let through what another
// route guards.
func plainOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RequestURI, "/") || strings.Contains(r.RequestURI, "#") || !isPlain(r.URL.EscapedPath(), r.URL.Path) {
			ambiguous(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isPlain reports whether a path, as it was sent and as it reads without its escapes, is one that all servers read alike.
func isPlain(escaped, path string) bool {
	if clean(escaped) != escaped || clean(path) != path || !utf8.ValidString(path) {
		return false
	}
	if strings.ContainsAny(path, "\\;") || strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return false
	}
	for rest := escaped; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return true
		}
		if len(rest) < i+3 || isDangerous(strings.ToLower(rest[i+1:])) {
			return false
		}
		rest = rest[i+3:]
	}
}

// isDangerous reports whether an escape, of which s is what follows the percent sign, stands for a slash or a dot, or for a
// percent sign that makes an escape of what follows.
func isDangerous(s string) bool {
	switch s[:2] {
	case "2f", "2e":
		return true
	case "25":
		return len(s) >= 4 && isHex(s[2]) && isHex(s[3])
	}
	return false
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
