package token

import (
	"encoding/binary"
	"fmt"
	"time"
)

// AppendBinary appends an encoding of c, for a store: the leeway of the
// verifier in nanoseconds, 8 bytes big-endian, and the payload as it was
// signed. There is no signature in it, so it is no token; but whoever can
// write the store can make claims. It never fails.
func (c *Claims) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, uint64(c.leeway))
	return append(b, c.payload...), nil
}

// MarshalBinary is AppendBinary to nothing.
func (c *Claims) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary reads what AppendBinary wrote, as strictly as a verifier
// does, and looks at no time: the claims may have expired since. After an
// error c is as before.
func (c *Claims) UnmarshalBinary(data []byte) error {
	if len(data) < 8 {
		return fmt.Errorf("token: encoded claims of %d bytes", len(data))
	}
	leeway := time.Duration(binary.BigEndian.Uint64(data))
	if leeway < 0 || leeway > maxLeeway {
		return fmt.Errorf("token: encoded claims with a leeway of %v", leeway)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	read, err := s.readClaims(data[8:])
	if err != nil {
		return fmt.Errorf("token: encoded claims: %w", err)
	}
	if read.Subject == "" || read.ExpiresAt.IsZero() {
		return fmt.Errorf("token: encoded claims: %w", refuse(ErrClaims, "sub or exp is missing"))
	}
	read.leeway = leeway
	*c = *read
	return nil
}
