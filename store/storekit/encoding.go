package storekit

import (
	"encoding/binary"
	"fmt"
	"time"

	"wsauth/store"
)

// encodedHead is the length of an encoded revocation without its ID.
const encodedHead = 1 + 8 + 8

// AppendRevocation appends the encoding of r, which must be canonical, to b and
// returns the extended slice. The encoding is the target in one byte; then
// Before (0 for the zero time) and Expires as big-endian milliseconds since
// 1970, 8 bytes each; then the ID.
func AppendRevocation(b []byte, r store.Revocation) []byte {
	b = append(b, byte(r.Target))
	b = binary.BigEndian.AppendUint64(b, milliseconds(r.Before))
	b = binary.BigEndian.AppendUint64(b, milliseconds(r.Expires))
	return append(b, r.ID...)
}

// DecodeRevocation decodes the output of [AppendRevocation]. For any other
// data, it returns [store.ErrInvalid].
func DecodeRevocation(data []byte) (store.Revocation, error) {
	if len(data) < encodedHead {
		return store.Revocation{}, fmt.Errorf("%w: a revocation of %d bytes", store.ErrInvalid, len(data))
	}
	before, expires := binary.BigEndian.Uint64(data[1:]), binary.BigEndian.Uint64(data[9:])
	r := store.Revocation{Target: store.Target(data[0]), ID: string(data[encodedHead:]), Expires: time.UnixMilli(int64(expires))}
	if before != 0 {
		r.Before = time.UnixMilli(int64(before))
	}
	r, err := r.Canonical()
	if err == nil && (milliseconds(r.Before) != before || milliseconds(r.Expires) != expires) {
		err = fmt.Errorf("%w: a revocation with dates out of range", store.ErrInvalid)
	}
	if err != nil {
		return store.Revocation{}, err
	}
	return r, nil
}

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

// milliseconds returns t in milliseconds since 1970, or 0 if t is zero.
func milliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}
