// Package wsframe holds the bytes of RFC 6455 that wsauth itself reads or
// writes: the handshake's key, the heads of frames and the close frame.
//
// It is no WebSocket library. Messages belong to the library of the user's
// choice; wsauth only needs to know where one frame ends, so that it can put a
// close frame there.
package wsframe

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 names SHA-1; it proves nothing but that the server speaks WebSocket.
	"encoding/base64"
	"net/http"
)

// acceptGUID is the constant of RFC 6455 section 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// ValidKey reports whether key is a Sec-WebSocket-Key: the base64 form of
// exactly 16 bytes (RFC 6455 section 4.1, item 7).
func ValidKey(key string) bool {
	if len(key) != 24 {
		return false
	}
	var nonce [18]byte
	n, err := base64.StdEncoding.Decode(nonce[:], []byte(key))
	return err == nil && n == 16
}

// AcceptKey is the Sec-WebSocket-Accept that answers key (RFC 6455 section
// 4.2.2, item 5.4).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID)) //nolint:gosec // See the import.
	return base64.StdEncoding.EncodeToString(sum[:])
}

// SetAccept sets the header fields of the 101 that answers a handshake with
// key (RFC 6455 section 4.2.2). An empty subprotocol selects none.
func SetAccept(h http.Header, key, subprotocol string) {
	h.Set("Upgrade", "websocket")
	h.Set("Connection", "Upgrade")
	h.Set("Sec-WebSocket-Accept", AcceptKey(key))
	if subprotocol != "" {
		h.Set("Sec-WebSocket-Protocol", subprotocol)
	}
}
