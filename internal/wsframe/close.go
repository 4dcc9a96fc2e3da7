package wsframe

import "unicode/utf8"

// Ping is an unmasked ping frame without payload, as a server sends it.
const Ping = "\x89\x00"

// MaxReason is the longest close reason in bytes: a control frame carries at
// most 125 bytes (RFC 6455 section 5.5), two of which are the code.
const MaxReason = 123

// AppendClose appends an unmasked close frame, as a server sends it, with
// code and reason (RFC 6455 section 5.5.1). A reason that is longer than
// MaxReason is cut at a character.
func AppendClose(dst []byte, code int, reason string) []byte {
	if len(reason) > MaxReason {
		n := MaxReason
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = append(dst, fin|opClose, byte(2+len(reason)), byte(code>>8), byte(code))
	return append(dst, reason...)
}

// AppendMasked appends frame, an unmasked control frame, as a client sends it:
// masked with key, which is to be random (RFC 6455 section 5.3).
func AppendMasked(dst, frame []byte, key [4]byte) []byte {
	dst = append(dst, frame[0], masked|frame[1])
	dst = append(dst, key[:]...)
	for i, b := range frame[2:] {
		dst = append(dst, b^key[i%len(key)])
	}
	return dst
}
