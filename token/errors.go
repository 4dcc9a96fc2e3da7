package token

import "errors"

// Reasons for which [Verifier.Verify] refuses a token. Each is the Kind of an
// [*Error]; test for it with [errors.Is].
var (
	// ErrSegments: fewer than three segments, so not a compact JWS at all.
	ErrSegments = errors.New("token: not enough segments")

	// ErrMalformed: too long, an invalid byte, more than three segments, or a
	// header or payload that the strict reader refuses.
	ErrMalformed = errors.New("token: malformed")

	// ErrAlgorithm: the alg is missing, unknown or not allowed here.
	ErrAlgorithm = errors.New("token: algorithm not allowed")

	// ErrSignature: no trusted key made the signature.
	ErrSignature = errors.New("token: signature verification failed")

	// ErrExpired: exp has passed.
	ErrExpired = errors.New("token: expired")

	// ErrNotYetValid: nbf lies in the future.
	ErrNotYetValid = errors.New("token: not yet valid")

	// ErrIssuedInFuture: iat lies in the future.
	ErrIssuedInFuture = errors.New("token: issued in the future")

	// ErrIssuer: iss is not the expected one.
	ErrIssuer = errors.New("token: invalid issuer")

	// ErrAudience: aud does not contain any of our names, or is present
	// although the verifier has no Audience.
	ErrAudience = errors.New("token: invalid audience")

	// ErrClaims: a required claim is missing, or one has the wrong type or
	// an impossible value.
	ErrClaims = errors.New("token: invalid claims")
)

// Error is the reason why a token was refused. Kind is the sentinel to branch
// on. Detail is only for the log: it names the broken rule, and contains
// nothing of the token except its kid, quoted and truncated.
type Error struct {
	Kind   error
	Detail string
}

func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Detail }

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

func refuse(kind error, detail string) error { return &Error{Kind: kind, Detail: detail} }
