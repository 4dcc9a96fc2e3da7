package store

import "strconv"

// Scope is what a [Revocation] revokes.
type Scope uint8

// The scopes. Their values are part of the encoding of a revocation.
const (
	Token       Scope = 1 // one token, by jti
	Session     Scope = 2 // all tokens of a session, by sid
	Subject     Scope = 3 // what began for a sub until Before
	Everything  Scope = 4 // what began for anybody until Before
	Sessionless Scope = 5 // like Subject, but only tokens without a sid
)

// scopes lists all scopes.
var scopes = [...]Scope{Token, Session, Subject, Everything, Sessionless}

// valid reports whether s is a known scope.
func (s Scope) valid() bool { return s >= Token && s <= Sessionless }

// dated reports whether revocations of this scope have a Before.
func (s Scope) dated() bool { return s == Subject || s == Everything || s == Sessionless }

// String returns the name of the scope in lower case.
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
