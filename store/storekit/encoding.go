package storekit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"wsauth/store"
)

// encodedHead is the length of an encoded revocation without its ID.
const encodedHead = 1 + 8 + 8

// AppendRevocation appends the encoding of r, which must be canonical, to b and
// returns the extended slice. The encoding is the target in one byte; then
// Before (0 for the zero time), or Generation for [store.TargetOlder], and
// Expires as big-endian milliseconds since 1970, 8 bytes each; then the ID.
func AppendRevocation(b []byte, r store.Revocation) []byte {
	b = append(b, byte(r.Target))
	b = binary.BigEndian.AppendUint64(b, milliseconds(r.Before)+r.Generation)
	b = binary.BigEndian.AppendUint64(b, milliseconds(r.Expires))
	return append(b, r.ID...)
}

// DecodeRevocation decodes the output of [AppendRevocation]. For any other
// data, it returns [store.ErrInvalid].
func DecodeRevocation(data []byte) (store.Revocation, error) {
	if len(data) < encodedHead {
		return store.Revocation{}, fmt.Errorf("%w: a revocation of %d bytes", store.ErrInvalid, len(data))
	}
	since, expires := binary.BigEndian.Uint64(data[1:]), binary.BigEndian.Uint64(data[9:])
	r := store.Revocation{Target: store.Target(data[0]), ID: string(data[encodedHead:]), Expires: time.UnixMilli(int64(expires))}
	switch {
	case r.Target == store.TargetOlder:
		r.Generation = since
	case since != 0:
		r.Before = time.UnixMilli(int64(since))
	}
	r, err := r.Canonical()
	if err == nil && (milliseconds(r.Before)+r.Generation != since || milliseconds(r.Expires) != expires) {
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
// then Key, unless it is zero. If the session has a Generation or a Parent, Key
// is never omitted, and Generation in 8 bytes and Parent follow.
func AppendSession(b []byte, s store.Session) []byte {
	for _, moment := range []time.Time{s.Started, s.Rotated, s.Expires, s.Ends} {
		b = binary.BigEndian.AppendUint64(b, milliseconds(moment))
	}
	for _, text := range []string{s.ID, s.Subject, s.Current, s.Previous, s.Remote, s.Agent} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	more := s.Generation != 0 || s.Parent != ""
	if s.Key != (store.KeyHash{}) || more {
		b = append(b, s.Key[:]...)
	}
	if more {
		b = binary.BigEndian.AppendUint64(b, s.Generation)
		b = append(b, s.Parent...)
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
	if len(rest) >= len(s.Key) {
		rest = rest[copy(s.Key[:], rest):]
	}
	if len(rest) >= 8 {
		s.Generation, s.Parent, rest = binary.BigEndian.Uint64(rest), string(rest[8:]), nil
	}
	canonical, err := s.Canonical()
	if err == nil && (len(rest) != 0 || canonical != s || !bytes.Equal(AppendSession(nil, s), data)) {
		err = fmt.Errorf("%w: a session that is not canonical", store.ErrInvalid)
	}
	if err != nil {
		return store.Session{}, err
	}
	return s, nil
}

// AppendEvent appends the encoding of e, which must be canonical, to b and
// returns the extended slice. The encoding is Expires as big-endian
// milliseconds since 1970 in 8 bytes; then Kind, preceded by its length in 1
// byte, and ID, preceded by its length in 2 bytes; then Data.
func AppendEvent(b []byte, e store.Event) []byte {
	b = binary.BigEndian.AppendUint64(b, milliseconds(e.Expires))
	b = append(b, byte(len(e.Kind)))
	b = append(b, e.Kind...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.ID)))
	b = append(b, e.ID...)
	return append(b, e.Data...)
}

// DecodeEvent decodes the output of [AppendEvent]. For any other data, it
// returns [store.ErrInvalid]. Data of the event shares memory with the
// argument, or is nil if it is empty.
func DecodeEvent(data []byte) (store.Event, error) {
	var e store.Event
	if len(data) < 8+1 || len(data) < 8+1+int(data[8])+2 {
		return store.Event{}, fmt.Errorf("%w: an event of %d bytes", store.ErrInvalid, len(data))
	}
	expires := binary.BigEndian.Uint64(data)
	e.Expires = time.UnixMilli(int64(expires))
	rest := data[9+int(data[8]):]
	e.Kind = string(data[9 : 9+int(data[8])])
	end := 2 + int(binary.BigEndian.Uint16(rest))
	if len(rest) < end {
		return store.Event{}, fmt.Errorf("%w: an event of %d bytes", store.ErrInvalid, len(data))
	}
	e.ID = string(rest[2:end])
	if len(rest) > end {
		e.Data = rest[end:len(rest):len(rest)]
	}
	e, err := e.Canonical()
	if err == nil && milliseconds(e.Expires) != expires {
		err = fmt.Errorf("%w: an event with a date out of range", store.ErrInvalid)
	}
	if err != nil {
		return store.Event{}, err
	}
	return e, nil
}

// milliseconds returns t in milliseconds since 1970, or 0 if t is zero.
func milliseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}
