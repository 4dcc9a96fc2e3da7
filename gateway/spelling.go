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

// reserved are the headers that mean something to HTTP itself, to what lies between or to the guard: no identity travels in them.
var reserved = map[string]bool{
	"Authorization": true, "Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Expect": true,
	"Forwarded": true, "Host": true, "Keep-Alive": true, "Origin": true, "Proxy-Authorization": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Via": true, "X-Csrf-Token": true, "X-Forwarded-For": true,
	"X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Real-Ip": true,
}

// misleading are the names, as fold makes them, of headers that some servers
// believe more than the request.
var misleading = map[string]bool{
	// The path. gunicorn cuts Script-Name off it, for clients of its own
	// machine by default; others take the path from one of these.
	"script-name": true, "path-info": true, "path-translated": true, "request-uri": true, "x-script-name": true,
	"x-rewrite-url": true, "x-waws-unencoded-url": true, "x-envoy-original-path": true, "x-replaced-path": true,

	// The host and the scheme.
	"x-host": true, "x-host-override": true, "x-http-host-override": true,
	"x-scheme": true, "x-url-scheme": true, "front-end-https": true, "x-arr-ssl": true, "wl-proxy-ssl": true, "cf-visitor": true,

	// The way that the request came.
	"remote-addr": true, "remote-host": true, "x-remote-addr": true, "x-remote-ip": true, "x-originating-ip": true,
	"x-azure-clientip": true, "x-azure-socketip": true, "cf-connecting-ipv6": true, "cloudfront-viewer-address": true,
	"x-envoy-external-address": true, "x-appengine-user-ip": true, "x-proxyuser-ip": true, "x-true-ip": true, "cdn-src-ip": true,

	// What Rack sends instead of a file, and a proxy for programs that take
	// their headers from the environment.
	"x-sendfile-type": true, "x-accel-mapping": true, "proxy": true,
}

// The beginnings and ends of names that mislead likewise.
var (
	misleadingPrefixes = [...]string{"x-original-", "x-real-", "x-forward-"}
	misleadingSuffixes = [...]string{"client-ip", "connecting-ip", "connection-ip", "real-ip"}
)

// isMisleading reports whether a client must not send a header, in any
// spelling: only we know which way the request came, and for which path and
// host it is, which is what was matched against the routes. So it is with
// what means something to HTTP itself, misspelt.
func isMisleading(name string) bool {
	folded := fold(name)
	if misleading[folded] {
		return true
	}
	for _, prefix := range misleadingPrefixes {
		if strings.HasPrefix(folded, prefix) {
			return true
		}
	}
	for _, suffix := range misleadingSuffixes {
		if strings.HasSuffix(folded, suffix) {
			return true
		}
	}
	if strings.Contains(folded, "forwarded") { // X-Forwarded-For, Forwarded-For, X-Vercel-Forwarded-For
		return true
	}
	canonical := http.CanonicalHeaderKey(folded)
	return name != canonical && (reserved[canonical] || strings.HasPrefix(folded, "sec-"))
}
