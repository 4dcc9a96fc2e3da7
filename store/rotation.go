package store

import (
	"fmt"
	"time"
)

// A Rotation replaces the refresh token of a family.
type Rotation struct {
	ID      string        // of the family
	From    string        // the jti of the token that was presented
	To      string        // the jti of the one that replaces it; another one
	Key     KeyHash       // of the client's idempotency key; zero for none
	Grace   time.Duration // how long after a rotation the token before it may be presented again; 0 or less: not at all
	Retry   time.Duration // the same with the Key of that rotation, until the token after it is presented
	Expires time.Time     // when To expires; no later than the family ends, in effect
	Remote  string        // where it was presented
	Agent   string
}

// A Presentation shows a refresh token where it is not exchanged.
type Presentation struct {
	ID    string        // of the family
	Token string        // the jti of the token
	Grace time.Duration // how long after a rotation the token before it may be presented; 0 or less: not at all
}

// Canonical returns r as [Family.Rotate] takes it. The error, which is
// [ErrInvalid], says what is wrong with r.
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
