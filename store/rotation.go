package store

import (
	"fmt"
	"time"
)

// A Rotation is a request to replace the refresh token of a session. Each ID,
// subject and jti is 1 to 256 bytes long.
type Rotation struct {
	Subject string    // Subject of the session
	ID      string    // ID of the session
	From    string    // jti of the presented token
	To      string    // jti of the token that replaces it, a different one
	Expires time.Time // expiry of To; the session may end earlier
	Key     KeyHash   // hash of the client's idempotency key, or zero

	// Grace is how long after a rotation the previous token may be presented
	// again. 0 or less means never.
	Grace time.Duration

	// Retry is how long after a rotation the previous token may be presented
	// again with the Key of that rotation, unless the new token has been
	// presented. 0 or less means never.
	Retry time.Duration

	// Generation is that of the presented token; see [Session.Generation]. It
	// must come from the signed claims of the token.
	Generation uint64

	// Where the token was presented, as in [Session].
	Remote string
	Agent  string
}

// A Presentation is a request to check a refresh token without exchanging it.
type Presentation struct {
	Subject string // Subject of the session
	ID      string // ID of the session
	Token   string // jti of the token

	// Generation is that of the presented token, as in [Rotation].
	Generation uint64

	// Grace is how long after a rotation the previous token may be presented. 0
	// or less means never.
	Grace time.Duration
}

// Canonical returns r in the form that [Session.Rotate] requires. It returns an
// [ErrInvalid] if r is not valid.
func (r Rotation) Canonical() (Rotation, error) {
	for what, name := range map[string]string{"Subject": r.Subject, "ID": r.ID, "From": r.From, "To": r.To} {
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

// Rotate returns s after a rotation. It implements the rules of
// [Sessions.RotateSession]. s and r must be canonical. If s has expired or
// belongs to another subject, the error is [ErrNotFound]. With [ErrReused], it
// returns s unchanged, and the store must end it.
func (s Session) Rotate(r Rotation, now time.Time) (Session, error) {
	if s.Expired(now) || s.Subject != r.Subject {
		return Session{}, ErrNotFound
	}
	s = s.adopt(r.From, r.Generation)
	switch r.From {
	case s.Current:
		s.Previous, s.Current, s.Key = s.Current, r.To, r.Key
		s.Generation++
		s.Rotated = wholeMilliseconds(now)
		s.Expires = r.Expires
		if s.Expires.After(s.Ends) {
			s.Expires = s.Ends
		}
	case s.Previous:
		retry := s.Key.matches(r.Key) && r.Retry > 0 && now.Sub(s.Rotated).Abs() <= r.Retry
		if !retry && !s.graced(r.Grace, now) {
			return s, ErrReused
		}
	default:
		return s, ErrReused
	}
	s.Remote, s.Agent = r.Remote, r.Agent
	return s, nil
}

// Present returns s after a presentation. It implements the rules of
// [Sessions.PresentSession]. s must be canonical. If s has expired or belongs
// to another subject, the error is [ErrNotFound]. With [ErrReused], it returns
// s unchanged, and the store must end it.
func (s Session) Present(p Presentation, now time.Time) (Session, error) {
	if s.Expired(now) || s.Subject != p.Subject {
		return Session{}, ErrNotFound
	}
	s = s.adopt(p.Token, p.Generation)
	switch {
	case p.Token == s.Current:
		s.Key = KeyHash{}
		return s, nil
	case p.Token != "" && p.Token == s.Previous && s.graced(p.Grace, now):
		return s, nil
	}
	return s, ErrReused
}

// adopt returns s with a presented token as Current if the token has a higher
// generation than s. Each rotation is stored before its token is signed. So
// such a token means that the store has lost rotations, for example because a
// replica that lacked them replaced the primary. The token is then the newest
// known one, and no sign of a theft.
func (s Session) adopt(token string, generation uint64) Session {
	if generation > s.Generation && generation < maxGeneration && token != "" && len(token) <= maxID {
		s.Previous, s.Current, s.Key, s.Generation = "", token, KeyHash{}, generation
	}
	return s
}

// ClockStep is how far a server clock may be set back without consequences. Up
// to this step, a repeated refresh token does not appear to be stolen, and the
// server accepts its own tokens although their dates are in the future.
const ClockStep = 5 * time.Second

// graced reports whether Current replaced Previous at most grace ago. If the
// time since the rotation is negative, the clock was set back. If it was set
// back by at most [ClockStep], the time is treated as zero. If it was set back
// by more, the time is unknown and graced returns false.
func (s Session) graced(grace time.Duration, now time.Time) bool {
	since := now.Sub(s.Rotated)
	return grace > 0 && since >= -ClockStep && since <= grace
}
