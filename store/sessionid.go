package store

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewSessionID returns an ID for a session that begins now: a UUIDv7 (RFC 9562
// §5.7), which contains the time in milliseconds and 74 random bits. The sid
// of a token thus tells when its session started; see [SessionStarted].
func NewSessionID() string {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // never fails
	moment := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint32(id[0:], uint32(moment>>16))
	binary.BigEndian.PutUint16(id[4:], uint16(moment))
	id[6] = 7<<4 | id[6]&0x0f // version
	id[8] = 2<<6 | id[8]&0x3f // variant

	text := make([]byte, 0, 36)
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}

// SessionStarted returns the time at which a session started, if its ID is a
// UUIDv7, in upper or lower case. It returns false for any other ID.
func SessionStarted(sid string) (time.Time, bool) {
	if len(sid) != 36 || sid[8] != '-' || sid[13] != '-' || sid[18] != '-' || sid[23] != '-' {
		return time.Time{}, false
	}
	var digits [32]byte
	var id [16]byte
	plain := append(digits[:0], sid[:8]...)
	plain = append(plain, sid[9:13]...)
	plain = append(plain, sid[14:18]...)
	plain = append(plain, sid[19:23]...)
	plain = append(plain, sid[24:]...)
	if _, err := hex.Decode(id[:], plain); err != nil {
		return time.Time{}, false
	}
	if id[6]>>4 != 7 || id[8]>>6 != 2 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16)), true
}
