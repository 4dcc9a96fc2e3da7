// Package wsframe implements the parts of RFC 6455 that wsauth itself reads or
// writes: the keys of the handshake, the headers of frames, and the close
// frame.
//
// It is not a WebSocket library. Messages are handled by the library that the
// user chooses; wsauth only needs to know where a frame ends, so that it can
// insert a close frame there.
package wsframe

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 requires SHA-1; it only shows that the server speaks WebSocket.
	"encoding/base64"
	"net/http"
)

// acceptGUID is the constant of RFC 6455 section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// ValidKey reports whether key is a valid Sec-WebSocket-Key: exactly 16 bytes
// in base64 (RFC 6455 section 4.1, item 7).
func ValidKey(key string) bool {
	if len(key) != 24 {
		return false
	}
	var nonce [18]byte
	n, err := base64.StdEncoding.Decode(nonce[:], []byte(key))
	return err == nil && n == 16
}

// AcceptKey returns the Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2,
// item 5.4).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID)) //nolint:gosec // See the import.
	return base64.StdEncoding.EncodeToString(sum[:])
}

// SetAccept sets the header fields of a 101 response to a handshake with the
// given key (RFC 6455 section 4.2.2). If subprotocol is empty, none is
// selected.
func SetAccept(h http.Header, key, subprotocol string) {
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Accept", AcceptKey(key))
	if subprotocol != "" {
		h.Set("Sec-WebSocket-Protocol", subprotocol)
	}
}
