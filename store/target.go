package store

import "strconv"

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
