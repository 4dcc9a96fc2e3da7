package wsframe

import "unicode/utf8"

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
