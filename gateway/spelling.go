package gateway

import (
	"net/http"
	"strings"
)

// fold makes one of all spellings of a header's name that some server takes for the same: CGI and its kin turn all but letters
// and digits into underscores, so that X-User, x_user and X.User are one variable there.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
}

// isHeaderName reports whether name can be the name of a header (RFC 9110 section 5.1).
func isHeaderName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return name != ""
}

// reserved are the headers that mean something to HTTP itself, to what lies between or to the guard: no identity travels in them.
var reserved = map[string]bool{
	"Authorization": true, "Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Expect": true,
	"Forwarded": true, "Host": true, "Keep-Alive": true, "Origin": true, "Proxy-Authorization": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Via": true, "X-Csrf-Token": true, "X-Forwarded-For": true,
	"X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Real-Ip": true,
}

// isMisleading reports whether a client must not send a header, in any spelling, for some server believes it more than the request: which
// way the request came, as only we know; for which path and host it is, which is what was matched against the routes; and, misspelt,
// what means something to HTTP itself. Proxy names a proxy to programs that take their headers from the environment.
func isMisleading(name string) bool {
	folded := fold(name)
	switch folded {
	case "forwarded", "x-forwarded", "x-real-ip", "x-rewrite-url", "proxy":
		return true
	}
	if strings.HasPrefix(folded, "x-forwarded-") || strings.HasPrefix(folded, "x-original-") {
		return true
	}
	if strings.HasSuffix(folded, "client-ip") || strings.HasSuffix(folded, "connecting-ip") { // Client-IP, True-Client-IP, CF-Connecting-IP
		return true
	}
	canonical := http.CanonicalHeaderKey(folded)
	return name != canonical && (reserved[canonical] || strings.HasPrefix(folded, "sec-"))
}
