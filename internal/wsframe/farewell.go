package wsframe

import (
	"encoding/binary"
	"unicode/utf8"
)

// SendableCode reports whether an endpoint may send a close code: 1004, 1005,
// 1006 and 1015 are reserved (RFC 6455 section 7.4.1), and 1016 to 2999 are not
// given out.
func SendableCode(code int) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// A farewell is the payload of a close frame, as far as it has come.
type farewell struct {
	key  [4]byte // that it is masked with; zero where it is not
	text []byte
	left int
}

// add takes the next bytes, and judges the payload once all of it is there: a
// code that may not be sent, and a reason that is no UTF-8, are faults (RFC
// 6455 sections 5.5.1, 7.4 and 8.1).
func (f *farewell) add(p []byte) *Fault {
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
