package store

import (
	"encoding/binary"
	"fmt"
	"time"
)

// AppendBinary appends the encoding of s, which must be canonical: Began,
// Rotated, Expires and Ends as big-endian milliseconds since 1970, 8 bytes
// each; then ID, Subject, Current, Previous, Remote and Agent, each preceded
// by its length in 2 bytes; then Key, unless it is zero. It never fails.
func (s Session) AppendBinary(b []byte) ([]byte, error) {
	for _, moment := range []time.Time{s.Began, s.Rotated, s.Expires, s.Ends} {
		b = binary.BigEndian.AppendUint64(b, uint64(moment.UnixMilli()))
	}
	for _, text := range []string{s.ID, s.Subject, s.Current, s.Previous, s.Remote, s.Agent} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	if s.Key != (KeyHash{}) {
		b = append(b, s.Key[:]...)
	}
	return b, nil
}

// UnmarshalBinary decodes the output of AppendBinary. For any other data, it
// returns [ErrInvalid] and leaves s unchanged.
func (s *Session) UnmarshalBinary(data []byte) error {
	var read Session
	rest := data
	for _, moment := range []*time.Time{&read.Began, &read.Rotated, &read.Expires, &read.Ends} {
		if len(rest) < 8 {
			return fmt.Errorf("%w: a session of %d bytes", ErrInvalid, len(data))
		}
		milliseconds := binary.BigEndian.Uint64(rest)
		if milliseconds >= maxTime {
			return fmt.Errorf("%w: a session with dates after the year 9999", ErrInvalid)
		}
		*moment, rest = time.UnixMilli(int64(milliseconds)).UTC(), rest[8:]
	}
	for _, text := range []*string{&read.ID, &read.Subject, &read.Current, &read.Previous, &read.Remote, &read.Agent} {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return fmt.Errorf("%w: a session of %d bytes", ErrInvalid, len(data))
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		*text, rest = string(rest[2:end]), rest[end:]
	}
	if n := copy(read.Key[:], rest); n == len(read.Key) && read.Key != (KeyHash{}) {
		rest = rest[n:]
	}
	canonical, err := read.Canonical()
	if err != nil {
		return err
	}
	if len(rest) != 0 || canonical != read {
		return fmt.Errorf("%w: a session that is not canonical", ErrInvalid)
	}
	*s = read
	return nil
}
