package store

import (
	"fmt"
	"time"
)

// A Rotation replaces the refresh token of a session.
type Rotation struct {
	ID   string  // ID of the session
	From string  // jti of the presented token
	To   string  // jti of the new token
	Key  KeyHash // hash of the client's idempotency key, or zero
	// Grace is how long after a rotation the previous token may be presented
	// again. 0 or less: not at all.
	Grace time.Duration
	// Retry is how long after a rotation the previous token may be presented
	// again with the Key of that rotation, unless the new token has been
	// presented.
	Retry   time.Duration
	Expires time.Time // expiry of To; the session may end earlier
	Remote  string    // address from which it was presented
	Agent   string
}

// A Presentation shows a refresh token without exchanging it.
type Presentation struct {
	ID    string // ID of the session
	Token string // jti of the token
	// Grace is how long after a rotation the previous token may be presented.
	// 0 or less: not at all.
	Grace time.Duration
}

// Canonical returns r in the form that [Session.Rotate] takes. It returns an
// [ErrInvalid] if r is not valid.
func (r Rotation) Canonical() (Rotation, error) {
	for what, name := range map[string]string{"ID": r.ID, "From": r.From, "To": r.To} {
		if name == "" || len(name) > maxID {
			return Rotation{}, fmt.Errorf("%w: a rotation with a %s of %d bytes", ErrInvalid, what, len(name))
		}
	}
	if r.From == r.To {
		return Rotation{}, fmt.Errorf("%w: a rotation to the same token", ErrInvalid)
	}
	if !representable(r.Expires.UnixMilli()) {
		return Rotation{}, fmt.Errorf("%w: a rotation with Expires %v", ErrInvalid, r.Expires)
	}
	r.Expires = wholeMilliseconds(r.Expires)
	r.Remote, r.Agent = cut(r.Remote), cut(r.Agent)
	return r, nil
}
