package wsframe

import (
	"encoding/binary"
	"unicode/utf8"
)

// Ping is an unmasked ping frame without payload, as sent by a server.
const Ping = "\x89\x00"

// maxReason is the maximum length of a close reason in bytes: a control frame
// has at most 125 bytes of payload (RFC 6455 section 5.5), and the code takes
// two.
const maxReason = 123

// AppendClose appends an unmasked close frame, as sent by a server (RFC 6455
// section 5.5.1). If reason is longer than maxReason, it is truncated at a
// character boundary.
func AppendClose(dst []byte, code int, reason string) []byte {
	if len(reason) > maxReason {
		n := maxReason
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = append(dst, fin|opClose, byte(2+len(reason)), byte(code>>8), byte(code))
	return append(dst, reason...)
}

// AppendMasked appends frame, an unmasked control frame, masked as sent by a
// client. key must be random (RFC 6455 section 5.3).
func AppendMasked(dst, frame []byte, key [4]byte) []byte {
	dst = append(dst, frame[0], masked|frame[1])
	dst = append(dst, key[:]...)
	for i, b := range frame[2:] {
		dst = append(dst, b^key[i%len(key)])
	}
	return dst
}

// SendableCode reports whether an endpoint may send a close code. Codes 1004,
// 1005, 1006 and 1015 are reserved (RFC 6455 section 7.4.1), and 1016 to 2999
// are unassigned.
func SendableCode(code int) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// A closePayload is the payload of a close frame received so far.
type closePayload struct {
	key  [4]byte // masking key, or zero
	text []byte
	left int
}

// add adds the next bytes. When the payload is complete, add returns a fault if
// the code may not be sent or the reason is not UTF-8 (RFC 6455 sections 5.5.1,
// 7.4 and 8.1).
func (f *closePayload) add(p []byte) *Fault {
	for _, b := range p {
		f.text = append(f.text, b^f.key[len(f.text)&3])
	}
	f.left -= len(p)
	switch {
	case f.left > 0:
		return nil
	case len(f.text) < 2 || !SendableCode(int(binary.BigEndian.Uint16(f.text))):
		return ProtocolError
	case !utf8.Valid(f.text[2:]):
		return InvalidText
	}
	return nil
}
