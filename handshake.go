package wsauth

import (
	"net/http"
	"strings"

	"wsauth/internal/wsframe"
)

// isUpgrade reports whether r asks to leave HTTP. Whatever asks is held to the
// rules of a WebSocket handshake, so that no handler can see an upgrade in a
// request which the guard took for a plain one. The offer of h2c alone is not
// meant: some clients add it to each request, and a server may pass over it
// (RFC 9110 section 7.8).
func isUpgrade(r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return len(upgrade) > 0 && !isToken(upgrade, "h2c") || r.Method == http.MethodConnect
}

// stripUpgrade removes the offer of h2c from a plain request, so that nothing
// behind the guard takes it up and leaves the guard behind.
func stripUpgrade(r *http.Request) {
	r.Header.Del("Upgrade")
	r.Header.Del("Http2-Settings")
}

// checkHandshake refuses what RFC 6455 section 4.2.1 does not allow, and what
// no honest client sends.
func checkHandshake(r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuse(MethodNotAllowed, nil)
	}
	version := r.Header["Sec-Websocket-Version"]
	key := r.Header["Sec-Websocket-Key"]
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return refuseWith(InvalidHandshake, "A WebSocket handshake needs HTTP/1.1")
	case r.Host == "" || r.RequestURI != "" && r.RequestURI[0] != '/':
		// The absolute form names a second host, which may differ from Host.
		return refuseWith(InvalidHandshake, "The request target is not a path of one host")
	case !isToken(r.Header["Upgrade"], "websocket"):
		return refuseWith(InvalidHandshake, "The only upgrade is to websocket")
	case !hasToken(r.Header["Connection"], "upgrade"):
		return refuseWith(InvalidHandshake, "The Connection header does not name upgrade")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return refuseWith(InvalidHandshake, "A WebSocket handshake has no body")
	case len(version) != 1 || version[0] != "13":
		return refuse(VersionNotSupported, nil)
	case len(key) != 1 || !wsframe.ValidKey(key[0]):
		return refuseWith(InvalidHandshake, "Sec-WebSocket-Key is not one key of 16 bytes")
	}
	return nil
}

// isToken reports whether the field is one line that is the token want.
func isToken(lines []string, want string) bool {
	return len(lines) == 1 && lowerASCII(strings.TrimSpace(lines[0])) == want
}

// hasToken reports whether a list field (RFC 9110 section 5.6.1) holds want.
func hasToken(lines []string, want string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if lowerASCII(strings.TrimSpace(item)) == want {
				return true
			}
		}
	}
	return false
}
