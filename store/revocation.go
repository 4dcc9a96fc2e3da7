package store

import (
	"fmt"
	"strconv"
	"time"
)

// ClockSlack is how long a revocation is kept after it has expired, so that no
// revoked token becomes valid again when the clock is set back by less.
const ClockSlack = time.Hour

// maxTime is the first millisecond after the year 9999, which is the last for
// dates in tokens.
const maxTime = 253402300800 * 1000

// A Revocation ends the validity of tokens before they expire. Names are those
// of one issuer; if you trust several, use a log for each.
type Revocation struct {
	// Target is the kind of what is revoked. Required.
	Target Target

	// ID is the jti, sid or sub, of 1 to 256 bytes; empty for [TargetAll].
	ID string

	// Before revokes the tokens that started at or before this time, in whole
	// milliseconds. Required for [TargetSubject], [TargetSessionless] and
	// [TargetAll]. It must be zero for [TargetToken] and [TargetSession],
	// which are revoked without a time limit.
	//
	// If the sid of a token is a UUIDv7, as those of [NewSessionID] are, the
	// token started when its session did: a later login is not affected, even
	// within the same second. Otherwise it started in the second of its iat, and
	// the whole second of Before is revoked.
	Before time.Time

	// Expires is the time after which no token concerned can be valid,
	// including the leeway of verifiers. Required. The log drops the
	// revocation [ClockSlack] later.
	Expires time.Time
}

// Obsolete reports whether the log may drop r, which is the case from
// [ClockSlack] after its expiry.
func (r Revocation) Obsolete(now time.Time) bool {
	return !r.Expires.After(now.Add(-ClockSlack))
}

// Covers reports whether r makes other redundant: r revokes every token that
// other does, for at least as long. It recognizes revocations with the same
// target and ID, and one of [TargetAll] that covers subjects and sessions whose
// sid contains their start. It returns false for single tokens, because they
// may have been issued at any time, and for the sessions of a subject, because
// a sid does not contain the subject. Both revocations must be canonical.
func (r Revocation) Covers(other Revocation) bool {
	switch {
	case r.Expires.Before(other.Expires):
		return false
	case r.Target == other.Target && r.ID == other.ID:
		return !r.Before.Before(other.Before)
	case r.Target != TargetAll:
		return false
	case other.Target == TargetSubject, other.Target == TargetSessionless:
		return !r.Before.Before(other.Before)
	case other.Target == TargetSession:
		started, ok := SessionStarted(other.ID)
		return ok && !started.After(r.Before)
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
	dated := r.Target.dated()
	if dated == r.Before.IsZero() || dated && !representable(r.Before.UnixMilli()) {
		return Revocation{}, fmt.Errorf("%w: %v with Before %v", ErrInvalid, r.Target, r.Before)
	}
	expires := r.Expires.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	if !representable(expires) {
		return Revocation{}, fmt.Errorf("%w: %v with Expires %v", ErrInvalid, r.Target, r.Expires)
	}
	canonical := Revocation{Target: r.Target, ID: r.ID, Expires: time.UnixMilli(expires).UTC()}
	if dated {
		canonical.Before = wholeMilliseconds(r.Before)
	}
	return canonical, nil
}

// representable reports whether a time is after the first millisecond of 1970,
// which encodes the zero time, and before the year 10000.
func representable(milliseconds int64) bool {
	return milliseconds > 0 && milliseconds < maxTime
}

// A Target is what a [Revocation] revokes.
type Target uint8

// The targets. Their values are part of the encoding of a revocation.
const (
	// TargetToken is the token with a jti.
	TargetToken Target = 1

	// TargetSession is all tokens of the session with a sid.
	TargetSession Target = 2

	// TargetSubject is all tokens of the subject with a sub whose session
	// started, or that were issued without a session, at or before
	// [Revocation.Before].
	TargetSubject Target = 3

	// TargetAll is TargetSubject for all subjects.
	TargetAll Target = 4

	// TargetSessionless is those tokens of TargetSubject that have no sid.
	TargetSessionless Target = 5
)

// valid reports whether t is a known target.
func (t Target) valid() bool { return t >= TargetToken && t <= TargetSessionless }

// dated reports whether revocations of this target have a Before.
func (t Target) dated() bool {
	return t == TargetSubject || t == TargetAll || t == TargetSessionless
}

// String returns the name of the target as operators see it: "token",
// "session", "user", "everything" or "sessionless".
func (t Target) String() string {
	switch t {
	case TargetToken:
		return "token"
	case TargetSession:
		return "session"
	case TargetSubject:
		return "user"
	case TargetAll:
		return "everything"
	case TargetSessionless:
		return "sessionless"
	}
	return "Target(" + strconv.Itoa(int(t)) + ")"
}
