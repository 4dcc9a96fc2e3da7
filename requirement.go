package wsauth

import (
	"errors"
	"fmt"

	"wsauth/token"
)

// A Requirement says which credential a route requires.
type Requirement int

const (
	// Access requires a valid access token.
	Access Requirement = iota
	// Optional accepts a request without a credential, with nil claims. A
	// credential in the request must be a valid access token.
	Optional
	// Refresh requires a valid refresh token. It does not check whether the
	// token has been exchanged for another one; the application does, in
	// Config.Authorize with PresentSession of [wsauth/store.Sessions].
	Refresh
	// Fresh requires an access token that was just issued in exchange for a
	// password, not for a refresh token.
	Fresh
)

var requirementNames = [...]string{"access", "optional", "refresh", "fresh"}

// String returns "access", "optional", "refresh" or "fresh".
func (q Requirement) String() string {
	if !q.valid() {
		return fmt.Sprintf("Requirement(%d)", int(q))
	}
	return requirementNames[q]
}

func (q Requirement) valid() bool { return q >= 0 && int(q) < len(requirementNames) }

// Type returns the type of token that satisfies q.
func (q Requirement) Type() token.Type {
	if q == Refresh {
		return token.TypeRefresh
	}
	return token.TypeAccess
}

var errUntyped = errors.New("the token has no type; InsecureUntyped of the verifier (insecure_untyped) accepts it as an access token")

// check refuses claims that do not satisfy q.
func (q Requirement) check(claims *token.Claims) error {
	if claims.Type == "" && q.Type() == token.TypeAccess {
		return &Error{Reason: WrongTokenType, Message: fmt.Sprintf("Only %s tokens are allowed", q.Type()), Err: errUntyped}
	}
	if claims.Type != q.Type() {
		return refuseWith(WrongTokenType, fmt.Sprintf("Only %s tokens are allowed", q.Type()))
	}
	if q == Fresh && !claims.Fresh {
		return refuse(FreshTokenRequired, nil)
	}
	return nil
}
