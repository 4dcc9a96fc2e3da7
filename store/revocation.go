package store

import (
	"fmt"
	"time"

	"wsauth/token"
)

// ClockSlack is how long a revocation is kept after it has expired. A clock
// that is set back by no more than this revives no revoked token.
const ClockSlack = time.Hour

// maxID is the length in bytes of the longest name that a token can have.
const maxID = 256

// maxTime is the first millisecond after the year 9999, where the dates of
// tokens end.
const maxTime = 253402300800 * 1000

// A Revocation ends tokens before their time. Names are those of one issuer:
// who trusts several keeps a log for each.
type Revocation struct {
	Scope Scope

	// ID is the jti, sid or sub, 1 to 256 bytes; empty for [Everything].
	ID string

	// Before revokes what began at or before this moment, which counts in
	// whole milliseconds. Required for [Subject], [Sessionless] and
	// [Everything]; zero for [Token] and [Session], which are revoked
	// altogether.
	Before time.Time

	// Expires is when no token that is concerned can be valid any more, the
	// leeway of verifiers included. Required. The log forgets the revocation
	// [ClockSlack] later.
	Expires time.Time
}

// Concerns reports whether r revokes the token with these claims.
//
// A token began when its session did, if the sid is a UUIDv7, as those of
// [NewSessionID] are: then tokens that a session is given later fall with it,
// and a login in the second of a revocation, but after it, lives. Otherwise it
// began in the second of its iat, and all of that second is revoked. Since the
// issuer's clock may be ahead by the leeway of the verifier, that is taken off
// the iat: what is issued within the leeway after a revocation may fall with
// it. A sid that claims to be younger than the token is not believed. A token
// that says neither is revoked.
func (r Revocation) Concerns(c *token.Claims) bool {
	switch r.Scope {
	case Token:
		return r.ID != "" && r.ID == c.ID
	case Session:
		return r.ID != "" && r.ID == c.SessionID
	case Subject:
		return c.HasSubject(r.ID) && !beganAfter(c, r.Before)
	case Everything:
		return !beganAfter(c, r.Before)
	case Sessionless:
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

// Gone reports whether the log may forget r: it expired [ClockSlack] ago or
// earlier.
func (r Revocation) Gone(now time.Time) bool {
	return !r.Expires.After(now.Add(-ClockSlack))
}

// Covers reports whether a log that has r need not have other as well: r
// revokes every token that other does, and for at least as long. It knows this
// of the same scope and ID, and of an [Everything] that covers subjects and
// those sessions whose sid tells when they began. It never knows it of a
// token, which may have been issued at any time, or of the sessions of a
// subject, since a sid does not tell whose session it is. Both are canonical.
func (r Revocation) Covers(other Revocation) bool {
	switch {
	case r.Expires.Before(other.Expires):
		return false
	case r.name() == other.name():
		return !r.Before.Before(other.Before)
	case r.Scope != Everything:
		return false
	case other.Scope == Subject, other.Scope == Sessionless:
		return !r.Before.Before(other.Before)
	case other.Scope == Session:
		began, ok := sessionBegan(other.ID)
		return ok && !began.After(r.Before)
	}
	return false
}

// Merge returns what r and other revoke together: the later Before and the
// later Expires. Both have the same scope and ID.
func (r Revocation) Merge(other Revocation) Revocation {
	if other.Before.After(r.Before) {
		r.Before = other.Before
	}
	if other.Expires.After(r.Expires) {
		r.Expires = other.Expires
	}
	return r
}

// Canonical returns r as stores keep it, which == compares: times in UTC and
// whole milliseconds, Before rounded down and Expires up. The error, which is
// [ErrInvalid], says what is wrong with r.
func (r Revocation) Canonical() (Revocation, error) {
	if !r.Scope.valid() {
		return Revocation{}, fmt.Errorf("%w: unknown %v", ErrInvalid, r.Scope)
	}
	if named := r.Scope != Everything; named != (r.ID != "") || len(r.ID) > maxID {
		return Revocation{}, fmt.Errorf("%w: %v with an ID of %d bytes", ErrInvalid, r.Scope, len(r.ID))
	}
	before := int64(0)
	if !r.Before.IsZero() {
		before = r.Before.UnixMilli()
	}
	if dated := r.Scope.dated(); dated != !r.Before.IsZero() || dated && !representable(before) {
		return Revocation{}, fmt.Errorf("%w: %v with Before %v", ErrInvalid, r.Scope, r.Before)
	}
	expires := r.Expires.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	if !representable(expires) {
		return Revocation{}, fmt.Errorf("%w: %v with Expires %v", ErrInvalid, r.Scope, r.Expires)
	}
	return restore(r.Scope, r.ID, before, expires), nil
}

// representable reports whether a moment lies after 1970 began, whose first
// millisecond stands for none, and before the year 10000.
func representable(milliseconds int64) bool {
	return milliseconds > 0 && milliseconds < maxTime
}

// restore makes the canonical revocation of these values; a before of 0 is
// none.
func restore(scope Scope, id string, before, expires int64) Revocation {
	r := Revocation{Scope: scope, ID: id, Expires: time.UnixMilli(expires).UTC()}
	if before != 0 {
		r.Before = time.UnixMilli(before).UTC()
	}
	return r
}

// A name tells revocations apart: of one scope and ID a log has one.
type name struct {
	scope Scope
	id    string
}

func (r Revocation) name() name { return name{r.Scope, r.ID} }
