package wsframe

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"time"
	"unicode/utf8"
)

// Faults of messages: a binary message where a text is required, and a text
// that is not UTF-8 (RFC 6455 sections 7.4.1 and 8.1).
var (
	NotText     = &Fault{1003, "text_only", ""}
	InvalidText = &Fault{1007, "invalid_text", ""}
)

// Further opcodes (RFC 6455 section 11.8).
const (
	opText = 0x01
	opPing = 0x09
)

// ReadText reads a client's next message, which must be a text of at most
// maxBytes bytes. It joins fragments, and answers pings on w. A fault is a
// violation by the client. The error is io.EOF if the client sent a close
// frame, or else an error of r or w.
func ReadText(r *bufio.Reader, w io.Writer, maxBytes int) ([]byte, *Fault, error) {
	rules := Checker{Client: true, MaxMessage: int64(maxBytes), MaxFragments: MaxFragments}
	started := time.Now()
	var message []byte
	for {
		head, err := readHead(r)
		if err != nil {
			return nil, nil, err
		}
		if _, fault := rules.Check(head, time.Since(started)); fault != nil {
			return nil, fault, nil
		}
		n, _ := payloadLen(head) // limited by the rules
		// ReadAll allocates as data arrives, not because a header announces
		// it.
		payload, err := io.ReadAll(io.LimitReader(r, int64(n))) //nolint:gosec // at most maxBytes
		if err != nil {
			return nil, nil, err
		}
		if uint64(len(payload)) < n {
			return nil, nil, io.ErrUnexpectedEOF
		}
		// Payload never violates a rule.
		rules.Check(payload, time.Since(started))
		mask(payload, head[len(head)-4:])
		switch op := head[0] & opcode; {
		case op == opClose:
			return nil, nil, io.EOF
		case op == opPing:
			if _, err := w.Write(appendFrame(nil, fin|opPong, payload)); err != nil {
				return nil, nil, err
			}
		case op&control != 0:
		case op == opBinary:
			return nil, NotText, nil
		default:
			message = append(message, payload...)
			if head[0]&fin == 0 {
				continue
			}
			if !utf8.Valid(message) {
				return nil, InvalidText, nil
			}
			return message, nil, nil
		}
	}
}

// readHead reads the header of a frame.
func readHead(r *bufio.Reader) ([]byte, error) {
	var head [MaxHead]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return nil, err
	}
	n := headLen(head[1])
	if _, err := io.ReadFull(r, head[2:n]); err != nil {
		return nil, err
	}
	return head[:n], nil
}

// AppendText appends an unmasked text message, as sent by a server.
func AppendText(dst, text []byte) []byte { return appendFrame(dst, fin|opText, text) }

// AppendMaskedText appends a text message as sent by a client, masked with a
// random key (RFC 6455 section 5.3).
func AppendMaskedText(dst, text []byte) []byte {
	dst = appendHead(dst, fin|opText, masked, len(text))
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	dst = append(dst, key[:]...)
	dst = append(dst, text...)
	mask(dst[len(dst)-len(text):], key[:])
	return dst
}

func appendFrame(dst []byte, first byte, payload []byte) []byte {
	return append(appendHead(dst, first, 0, len(payload)), payload...)
}

// appendHead appends a frame header up to the masking key. bit is masked or 0.
func appendHead(dst []byte, first, bit byte, n int) []byte {
	switch {
	case n < length16:
		return append(dst, first, bit|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, first, bit|length16), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, bit|length64), uint64(n))
}

// mask masks or unmasks a payload.
func mask(payload, key []byte) {
	for i := range payload {
		payload[i] ^= key[i&3]
	}
}
