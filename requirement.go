package wsauth

import (
	"errors"
	"fmt"

	"wsauth/token"
)

// A Requirement is what a route demands of a credential.
type Requirement int

const (
	// Access demands a valid access token.
	Access Requirement = iota
	// Optional lets a request without a credential pass, with nil claims; a
	// credential that is there must be a valid access token.
	Optional
	// Refresh demands a valid refresh token. Whether it was exchanged for
	// another one is for the application to know: see
	// [wsauth/store.Families], whose PresentFamily answers that in
	// Config.AuthorizeClaims.
	Refresh
	// Fresh demands an access token that was made from a password just now,
	// not from a refresh token.
	Fresh
)

var requirementNames = [...]string{"access", "optional", "refresh", "fresh"}

// String is "access", "optional", "refresh" or "fresh".
func (q Requirement) String() string {
	if !q.valid() {
		return fmt.Sprintf("Requirement(%d)", int(q))
	}
	return requirementNames[q]
}

func (q Requirement) valid() bool { return q >= 0 && int(q) < len(requirementNames) }

// Type is the type of token that satisfies q.
func (q Requirement) Type() token.Type {
	if q == Refresh {
		return token.TypeRefresh
	}
	return token.TypeAccess
}

var errUntyped = errors.New("the token has no type; InsecureUntyped of the verifier (insecure_untyped) takes it for an access token")

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
