package storekit

import (
	"encoding/binary"
	"fmt"
	"time"

	"wsauth/store"
)

// AppendSession appends the encoding of s, which must be canonical, to b and
// returns the extended slice. The encoding is Started, Rotated, Expires and
// Ends as big-endian milliseconds since 1970, 8 bytes each; then ID, Subject,
// Current, Previous, Remote and Agent, each preceded by its length in 2 bytes;
// then Key, unless it is zero.
func AppendSession(b []byte, s store.Session) []byte {
	for _, moment := range []time.Time{s.Started, s.Rotated, s.Expires, s.Ends} {
		b = binary.BigEndian.AppendUint64(b, milliseconds(moment))
	}
	for _, text := range []string{s.ID, s.Subject, s.Current, s.Previous, s.Remote, s.Agent} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	if s.Key != (store.KeyHash{}) {
		b = append(b, s.Key[:]...)
	}
	return b
}

// DecodeSession decodes the output of [AppendSession]. For any other data, it
// returns [store.ErrInvalid].
func DecodeSession(data []byte) (store.Session, error) {
	var s store.Session
	rest := data
	for _, moment := range []*time.Time{&s.Started, &s.Rotated, &s.Expires, &s.Ends} {
		if len(rest) < 8 {
			return store.Session{}, fmt.Errorf("%w: a session of %d bytes", store.ErrInvalid, len(data))
		}
		*moment, rest = time.UnixMilli(int64(binary.BigEndian.Uint64(rest))).UTC(), rest[8:]
	}
	for _, text := range []*string{&s.ID, &s.Subject, &s.Current, &s.Previous, &s.Remote, &s.Agent} {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return store.Session{}, fmt.Errorf("%w: a session of %d bytes", store.ErrInvalid, len(data))
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		*text, rest = string(rest[2:end]), rest[end:]
	}
	if n := copy(s.Key[:], rest); n == len(s.Key) && s.Key != (store.KeyHash{}) {
		rest = rest[n:]
	}
	canonical, err := s.Canonical()
	if err == nil && (len(rest) != 0 || canonical != s) {
		err = fmt.Errorf("%w: a session that is not canonical", store.ErrInvalid)
	}
	if err != nil {
		return store.Session{}, err
	}
	return s, nil
}
