package store

import "strconv"

// Scope says what a [Revocation] revokes.
type Scope uint8

// The scopes. Their numbers are part of the encoding of a revocation.
const (
	Token       Scope = 1 // one token, by its jti
	Session     Scope = 2 // all tokens of one login, by their sid
	Subject     Scope = 3 // what a subject began until a moment, by sub
	Everything  Scope = 4 // what anyone began until a moment
	Sessionless Scope = 5 // of what Subject revokes, the tokens without a sid
)

// scopes are all of them.
var scopes = [...]Scope{Token, Session, Subject, Everything, Sessionless}

// valid reports whether s is one of the scopes.
func (s Scope) valid() bool { return s >= Token && s <= Sessionless }

// dated reports whether revocations of this scope reach up to a moment only.
func (s Scope) dated() bool { return s == Subject || s == Everything || s == Sessionless }

// String returns the scope's name in lower case.
func (s Scope) String() string {
	switch s {
	case Token:
		return "token"
	case Session:
		return "session"
	case Subject:
		return "subject"
	case Everything:
		return "everything"
	case Sessionless:
		return "sessionless"
	}
	return "Scope(" + strconv.Itoa(int(s)) + ")"
}
