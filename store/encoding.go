package store

import (
	"encoding/binary"
	"fmt"
)

// encodedHead is the length of the encoding without the ID: the target in one
// byte, and Before and Expires in milliseconds since 1970.
const encodedHead = 1 + 8 + 8

// AppendBinary appends the encoding of r, which must be canonical: the target
// in one byte, Before (0 if zero) and Expires as big-endian milliseconds since
// 1970, 8 bytes each, then the ID. It never fails.
func (r Revocation) AppendBinary(b []byte) ([]byte, error) {
	var before uint64
	if !r.Before.IsZero() {
		before = uint64(r.Before.UnixMilli())
	}
	b = append(b, byte(r.Target))
	b = binary.BigEndian.AppendUint64(b, before)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Expires.UnixMilli()))
	return append(b, r.ID...), nil
}

// UnmarshalBinary decodes the output of AppendBinary. For any other data, it
// returns [ErrInvalid] and leaves r unchanged.
func (r *Revocation) UnmarshalBinary(data []byte) error {
	if len(data) < encodedHead {
		return fmt.Errorf("%w: %d bytes", ErrInvalid, len(data))
	}
	before := binary.BigEndian.Uint64(data[1:])
	expires := binary.BigEndian.Uint64(data[9:])
	if before >= maxTime || expires >= maxTime {
		return fmt.Errorf("%w: dates after the year 9999", ErrInvalid)
	}
	read, err := restore(Target(data[0]), string(data[encodedHead:]), int64(before), int64(expires)).Canonical()
	if err != nil {
		return err
	}
	*r = read
	return nil
}
