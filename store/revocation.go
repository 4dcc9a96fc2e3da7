package store

import (
	"fmt"
	"strconv"
	"time"
)

// ClockSlack is how long a revocation is kept after it has expired. If the
// clock is set back by less than this, no revoked token becomes valid again.
const ClockSlack = time.Hour

// maxTime is the first millisecond after the year 9999, the last year that
// dates in tokens can have.
const maxTime = 253402300800 * 1000

// A Revocation ends the validity of tokens before they expire. The log does not
// distinguish issuers; if you trust several, use a log for each.
type Revocation struct {
	// Target says which tokens are revoked. Required.
	Target Target

	// ID is the jti, sid or sub, 1 to 256 bytes long. It is empty for
	// [TargetAll].
	ID string

	// Before revokes the tokens that started at or before this time, in whole
	// milliseconds. Required for [TargetSubject], [TargetSessionless] and
	// [TargetAll]. It must be zero for [TargetToken] and [TargetSession], which
	// apply whenever the token started, and for [TargetOlder].
	//
	// If the sid of a token is a UUIDv7, as [NewSessionID] returns, the token
	// started at the start of its session. A later login is then not affected,
	// even within the same second. Otherwise the token started in the second of
	// its iat, and Before revokes the whole second that contains it.
	Before time.Time

	// Generation revokes the tokens of a lower generation. Required for
	// [TargetOlder], and otherwise 0.
	Generation uint64

	// Expires is the time after which none of the revoked tokens can be valid,
	// including the leeway of verifiers. Required. The log drops the revocation
	// [ClockSlack] later.
	Expires time.Time
}

// Obsolete reports whether the log may drop r, because it expired at least
// [ClockSlack] ago.
func (r Revocation) Obsolete(now time.Time) bool {
	return !r.Expires.After(now.Add(-ClockSlack))
}

// Covers reports whether r makes other redundant: r revokes every token that
// other does, for at least as long. r can cover a revocation with the same
// target and ID. A revocation of [TargetSession] can also cover one of
// [TargetOlder] for the same session. A revocation of [TargetAll] can also
// cover those of subjects, and those of sessions whose sid contains their
// start. It does not cover single tokens, because they may have been issued at
// any time. A revocation of a subject does not cover its sessions, because a
// sid does not contain the subject. Both revocations must be canonical.
func (r Revocation) Covers(other Revocation) bool {
	switch {
	case r.Expires.Before(other.Expires):
		return false
	case r.Target == other.Target && r.ID == other.ID:
		return !r.Before.Before(other.Before) && r.Generation >= other.Generation
	case r.Target == TargetSession && other.Target == TargetOlder:
		return r.ID == other.ID
	case r.Target != TargetAll:
		return false
	case other.Target == TargetSubject, other.Target == TargetSessionless:
		return !r.Before.Before(other.Before)
	case other.Target == TargetSession, other.Target == TargetOlder:
		started, ok := SessionStarted(other.ID)
		return ok && !started.After(r.Before)
	}
	return false
}

// Merge returns the union of r and other, which must have the same target and
// ID. The union has the later Before and Expires, and the higher Generation.
func (r Revocation) Merge(other Revocation) Revocation {
	if other.Before.After(r.Before) {
		r.Before = other.Before
	}
	if other.Expires.After(r.Expires) {
		r.Expires = other.Expires
	}
	r.Generation = max(r.Generation, other.Generation)
	return r
}

// Canonical returns r in the form in which stores keep it, comparable with ==.
// Times are in UTC and in whole milliseconds, Before rounded down and Expires
// rounded up. It returns an [ErrInvalid] if r is not valid.
func (r Revocation) Canonical() (Revocation, error) {
	if !r.Target.valid() {
		return Revocation{}, fmt.Errorf("%w: unknown %v", ErrInvalid, r.Target)
	}
	if named := r.Target != TargetAll; named != (r.ID != "") || len(r.ID) > maxID {
		return Revocation{}, fmt.Errorf("%w: %v with an ID of %d bytes", ErrInvalid, r.Target, len(r.ID))
	}
	if counted := r.Target == TargetOlder; counted == (r.Generation == 0) || r.Generation > maxGeneration {
		return Revocation{}, fmt.Errorf("%w: %v with Generation %d", ErrInvalid, r.Target, r.Generation)
	}
	dated := r.Target.dated()
	if dated == r.Before.IsZero() || dated && !representable(r.Before.UnixMilli()) {
		return Revocation{}, fmt.Errorf("%w: %v with Before %v", ErrInvalid, r.Target, r.Before)
	}
	expires := r.Expires.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	if !representable(expires) {
		return Revocation{}, fmt.Errorf("%w: %v with Expires %v", ErrInvalid, r.Target, r.Expires)
	}
	canonical := Revocation{Target: r.Target, ID: r.ID, Generation: r.Generation, Expires: time.UnixMilli(expires).UTC()}
	if dated {
		canonical.Before = wholeMilliseconds(r.Before)
	}
	return canonical, nil
}

// representable reports whether a time, in milliseconds since 1970, is positive
// and before the year 10000. 0 is the encoding of the zero time.
func representable(milliseconds int64) bool {
	return milliseconds > 0 && milliseconds < maxTime
}

// A Target is what a [Revocation] revokes.
type Target uint8

// The targets. Their values are part of the encoding of a revocation.
const (
	// TargetToken is the token with the given jti.
	TargetToken Target = 1

	// TargetSession is all tokens of the session with the given sid.
	TargetSession Target = 2

	// TargetSubject is all tokens with the given sub that started at or before
	// [Revocation.Before].
	TargetSubject Target = 3

	// TargetAll is TargetSubject for all subjects.
	TargetAll Target = 4

	// TargetSessionless is like TargetSubject, but only for tokens without a
	// sid.
	TargetSessionless Target = 5

	// TargetOlder is the access tokens of the session with the given sid whose
	// generation is lower than [Revocation.Generation]. The session continues
	// with other rights.
	TargetOlder Target = 6
)

// valid reports whether t is a known target.
func (t Target) valid() bool { return t >= TargetToken && t <= TargetOlder }

// dated reports whether revocations of this target have a Before.
func (t Target) dated() bool {
	return t == TargetSubject || t == TargetAll || t == TargetSessionless
}

// String returns the name of the target as operators see it: "token",
// "session", "user", "everything", "sessionless" or "older".
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
	case TargetOlder:
		return "older"
	}
	return "Target(" + strconv.Itoa(int(t)) + ")"
}
