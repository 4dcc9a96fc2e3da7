package wsauth

import (
	"net/http"

	"wsauth/internal/httpx"
	"wsauth/internal/wsframe"
)

// isUpgrade reports whether r asks for another protocol. All such requests must
// be valid WebSocket handshakes, so that no handler sees an upgrade in a
// request that the guard has treated as a plain one. An offer of h2c alone is
// not an upgrade: some clients add it to every request, and servers may ignore
// it (RFC 9110 section 7.8).
func isUpgrade(r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return len(upgrade) > 0 && !httpx.IsOnly(upgrade, "h2c") || r.Method == http.MethodConnect
}

// checkHandshake refuses handshakes that RFC 6455 section 4.2.1 does not
// allow, or that no honest client sends.
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
	case !httpx.IsOnly(r.Header["Upgrade"], "websocket"):
		return refuseWith(InvalidHandshake, "The only upgrade is to websocket")
	case !httpx.HasToken(r.Header["Connection"], "upgrade"):
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
