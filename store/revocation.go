package store

import (
	"fmt"
	"time"

	"wsauth/token"
)

// ClockSlack is how long a revocation is kept after it has expired, so that no
// revoked token becomes valid again when the clock is set back by less.
const ClockSlack = time.Hour

// maxID is the maximum length in bytes of a name in a token.
const maxID = 256

// maxTime is the first millisecond after the year 9999, which is the last for
// dates in tokens.
const maxTime = 253402300800 * 1000

// A Revocation ends the validity of tokens before they expire. Names are those
// of one issuer; if you trust several, use a log for each.
type Revocation struct {
	Target Target

	// ID is the jti, sid or sub, of 1 to 256 bytes; empty for [TargetAll].
	ID string

	// Before revokes what began at or before this time, in whole milliseconds.
	// Required for [TargetSubject], [TargetSessionless] and [TargetAll]. It
	// must be zero for [TargetToken] and [TargetSession], which are revoked
	// without a time limit.
	Before time.Time

	// Expires is the time after which no token concerned can be valid,
	// including the leeway of verifiers. Required. The log drops the
	// revocation [ClockSlack] later.
	Expires time.Time
}

// Concerns reports whether r revokes the token with these claims.
//
// Revocations with a time compare it with the beginning of the token. If the
// sid is a UUIDv7, as those of [NewSessionID] are, a token began when its
// session did: a revocation then covers tokens that the session gets later,
// and a login after the revocation, within the same second, is not affected.
//
// Otherwise a token began in the second of its iat, and the whole second of a
// revocation is revoked. Since the issuer's clock may be ahead by the leeway
// of the verifier, the leeway is subtracted from iat: tokens that are issued
// within the leeway after a revocation may also be revoked.
//
// A session that claims to have begun after the token was issued is not
// believed. A token with neither date is revoked.
func (r Revocation) Concerns(c *token.Claims) bool {
	switch r.Target {
	case TargetToken:
		return r.ID != "" && r.ID == c.ID
	case TargetSession:
		return r.ID != "" && r.ID == c.SessionID
	case TargetSubject:
		return c.HasSubject(r.ID) && !beganAfter(c, r.Before)
	case TargetAll:
		return !beganAfter(c, r.Before)
	case TargetSessionless:
		return c.HasSubject(r.ID) && c.SessionID == "" && !beganAfter(c, r.Before)
	}
	return false
}

func beganAfter(c *token.Claims, moment time.Time) bool {
	undated := c.IssuedAt.IsZero()
	began, ok := sessionBegan(c.SessionID)
	if ok && (undated || began.Unix() <= c.IssuedAt.Unix()) {
		return began.UnixMilli() > moment.UnixMilli()
	}
	return !undated && c.IssuedFrom().Unix() > moment.Unix()
}

// Gone reports whether the log may drop r, which is the case [ClockSlack]
// after its expiry.
func (r Revocation) Gone(now time.Time) bool {
	return !r.Expires.After(now.Add(-ClockSlack))
}

// Covers reports whether r makes other redundant: r revokes every token that
// other does, for at least as long. It recognises revocations with the same
// target and ID, and one of [TargetAll] that covers subjects and sessions
// whose sid contains their beginning. It returns false for single tokens,
// because they may have been issued at any time, and for the sessions of a
// subject, because a sid does not contain the subject. Both revocations must
// be canonical.
func (r Revocation) Covers(other Revocation) bool {
	switch {
	case r.Expires.Before(other.Expires):
		return false
	case r.name() == other.name():
		return !r.Before.Before(other.Before)
	case r.Target != TargetAll:
		return false
	case other.Target == TargetSubject, other.Target == TargetSessionless:
		return !r.Before.Before(other.Before)
	case other.Target == TargetSession:
		began, ok := sessionBegan(other.ID)
		return ok && !began.After(r.Before)
	}
	return false
}

// Merge returns the union of r and other, which must have the same target and
// ID: the later Before and the later Expires.
func (r Revocation) Merge(other Revocation) Revocation {
	if other.Before.After(r.Before) {
		r.Before = other.Before
	}
	if other.Expires.After(r.Expires) {
		r.Expires = other.Expires
	}
	return r
}

// Canonical returns r in the form in which stores keep it, comparable with ==:
// times in UTC and whole milliseconds, Before rounded down and Expires rounded
// up. It returns an [ErrInvalid] if r is not valid.
func (r Revocation) Canonical() (Revocation, error) {
	if !r.Target.valid() {
		return Revocation{}, fmt.Errorf("%w: unknown %v", ErrInvalid, r.Target)
	}
	if named := r.Target != TargetAll; named != (r.ID != "") || len(r.ID) > maxID {
		return Revocation{}, fmt.Errorf("%w: %v with an ID of %d bytes", ErrInvalid, r.Target, len(r.ID))
	}
	before := int64(0)
	if !r.Before.IsZero() {
		before = r.Before.UnixMilli()
	}
	if dated := r.Target.dated(); dated != !r.Before.IsZero() || dated && !representable(before) {
		return Revocation{}, fmt.Errorf("%w: %v with Before %v", ErrInvalid, r.Target, r.Before)
	}
	expires := r.Expires.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	if !representable(expires) {
		return Revocation{}, fmt.Errorf("%w: %v with Expires %v", ErrInvalid, r.Target, r.Expires)
	}
	return restore(r.Target, r.ID, before, expires), nil
}

// representable reports whether a time is after the first millisecond of 1970,
// which stands for no time, and before the year 10000.
func representable(milliseconds int64) bool {
	return milliseconds > 0 && milliseconds < maxTime
}

// restore returns the canonical revocation with these values. A before of 0
// means none.
func restore(target Target, id string, before, expires int64) Revocation {
	r := Revocation{Target: target, ID: id, Expires: time.UnixMilli(expires).UTC()}
	if before != 0 {
		r.Before = time.UnixMilli(before).UTC()
	}
	return r
}

// A name identifies a revocation in a log: there is at most one with a given
// target and ID.
type name struct {
	target Target
	id     string
}

func (r Revocation) name() name { return name{r.Target, r.ID} }
