package token

import (
	"context"
	"time"
)

// VerifierConfig says which tokens to accept.
type VerifierConfig struct {
	// Keys are the keys that may have signed a token. Required.
	Keys *KeySet

	// Algorithms narrows the algorithms of Keys. Empty: all of them.
	Algorithms []Algorithm

	// Issuer is the iss that a token must have, exactly. Empty: iss is not
	// looked at.
	Issuer string

	// Audience holds our own names: the aud of a token must contain one of
	// them. Empty: a token that has an aud was meant for someone else, and
	// is refused.
	Audience []string

	// MediaType is the typ header that a token must have, such as "at+jwt"
	// (RFC 9068), without regard to case and to a leading "application/".
	// Empty: typ is absent, "JWT" or "at+jwt".
	MediaType string

	// Leeway is how far the clocks of issuer and verifier may disagree, in
	// iat, nbf and exp: 0 to 60 s, default 0.
	Leeway time.Duration

	// MaxLifetime is how far in the future exp may lie. Default 366 days.
	MaxLifetime time.Duration

	// MaxBytes is the longest token that is looked at. Default 8192, at
	// most 65536.
	MaxBytes int
}

// Verifier checks tokens. It is immutable and safe for concurrent use.
type Verifier struct{}

// NewVerifier reports every fault of the configuration at once, joined, each
// beginning with the name of its field.
func NewVerifier(c VerifierConfig) (*Verifier, error) { return nil, errTODO }

// Verify returns the claims of raw when a trusted key signed it and it is valid
// now. Any other error than the context's is an [*Error]. The context is for
// verifiers that must fetch keys.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) { return nil, errTODO }

// UnverifiedHeader returns the header of raw, read strictly but believed by
// nobody: no signature was checked. It is for diagnostics.
func UnverifiedHeader(raw string) (map[string]any, error) { return nil, errTODO }
