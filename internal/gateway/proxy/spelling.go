package proxy

import (
	"net/http"
	"strings"
)

// fold maps a header name to a form that is the same for all spellings that
// some server treats as equal. CGI and similar interfaces replace everything
// but letters and digits with underscores, so X-User, x_user and X.User become
// the same variable.
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

// reserved are the headers that have a meaning for HTTP, for intermediaries or
// for the guard. They cannot be identity headers.
var reserved = map[string]bool{
	"Authorization": true, "Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Expect": true,
	"Forwarded": true, "Host": true, "Keep-Alive": true, "Origin": true, "Proxy-Authorization": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Via": true, "X-Csrf-Token": true, "X-Forwarded-For": true,
	"X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Real-Ip": true,
}

// misleading are the folded names of headers that some servers trust more than
// the request itself.
var misleading = map[string]bool{
	// The path. gunicorn removes Script-Name from the path, by default for
	// clients on its own machine; other servers take the path from one of
	// these.
	"script-name": true, "path-info": true, "path-translated": true, "request-uri": true, "x-script-name": true,
	"x-rewrite-url": true, "x-waws-unencoded-url": true, "x-envoy-original-path": true, "x-replaced-path": true,

	// The host and the scheme.
	"x-host": true, "x-host-override": true, "x-http-host-override": true,
	"x-scheme": true, "x-url-scheme": true, "front-end-https": true, "x-arr-ssl": true, "wl-proxy-ssl": true, "cf-visitor": true,

	// The client and the way that the request took.
	"remote-addr": true, "remote-host": true, "x-remote-addr": true, "x-remote-ip": true, "x-originating-ip": true,
	"x-azure-clientip": true, "x-azure-socketip": true, "cf-connecting-ipv6": true, "cloudfront-viewer-address": true,
	"x-envoy-external-address": true, "x-appengine-user-ip": true, "x-proxyuser-ip": true, "x-true-ip": true, "cdn-src-ip": true,

	// X-Sendfile-Type and X-Accel-Mapping, which let Rack send a file name
	// instead of a file, and Proxy, which sets the proxy of programs that read
	// headers from the environment.
	"x-sendfile-type": true, "x-accel-mapping": true, "proxy": true,
}

// Prefixes and suffixes of further misleading names.
var (
	misleadingPrefixes = [...]string{"x-original-", "x-real-", "x-forward-"}
	misleadingSuffixes = [...]string{"client-ip", "connecting-ip", "connection-ip", "real-ip"}
)

// isMisleading reports whether a header must not be accepted from clients, in
// any spelling. Only the gateway knows through which proxies a request came,
// and by which path and host it was matched against the routes. Other spellings
// of headers that have a meaning for HTTP itself are misleading, too.
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
