package token

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxLeeway is the greatest clock difference that a [Verifier] can
	// tolerate.
	MaxLeeway = time.Minute

	// DefaultMaxLifetime is the default of [VerifierConfig.MaxLifetime].
	DefaultMaxLifetime = 366 * 24 * time.Hour

	defaultCache = 1024
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Keys provides the keys that may have signed a token. Required.
	Keys KeySource

	// Algorithms restricts the algorithms of Keys. Empty: all of them.
	Algorithms []Algorithm

	// Issuer is the exact iss that a token must have. Empty: iss is ignored.
	Issuer string

	// Audience holds our own names; the aud of a token must contain one of
	// them. Empty: a token that has an aud is meant for someone else and is
	// refused.
	Audience []string

	// AuthorizedParties lists the clients of the issuer that may have
	// requested a token: if the token names its client (azp, see
	// Profile.AuthorizedParty), it must be one of them. Use it for an issuer
	// that issues tokens for your audience to any client (OpenID Connect Core
	// section 3.1.3.7). It needs a Profile. Empty: any client.
	AuthorizedParties []string

	// InsecureAuthorizedParty lists clients of the issuer whose tokens are
	// accepted although they do not say whom they are for: aud is absent or
	// all its values are in IgnoredAudiences. It is insecure because the claim
	// that is compared (azp, see Profile.AuthorizedParty) says who requested
	// the token, not whom it is for: every server that receives such a token
	// from the client can use it here. It needs a Profile. Empty: none.
	InsecureAuthorizedParty []string

	// IgnoredAudiences lists values of aud that every token of the issuer has
	// and that name no server, such as "account" in Keycloak. They matter to
	// InsecureAuthorizedParty only.
	IgnoredAudiences []string

	// MediaType is the typ header that a token must have, such as "at+jwt" (RFC
	// 9068). Case and the prefix "application/" are ignored. Empty: typ is
	// absent, "JWT" or "at+jwt".
	MediaType string

	// Leeway is the tolerated clock difference between issuer and verifier,
	// for iat, nbf and exp: 0 to MaxLeeway, default 0.
	Leeway time.Duration

	// IssuedLeeway is how far iat and nbf may be ahead of the clock, if that
	// is more than Leeway: 0 to MaxLeeway, default 0. It is for a verifier of
	// its own tokens, whose clock may be set back after it issued one. It does
	// not extend the life of a token.
	IssuedLeeway time.Duration

	// IssuedAnyTime accepts tokens with an iat that is ahead of the clock by
	// any amount, and an nbf that is not later than iat. It is for requests
	// with which users end what a token started, such as a logout: these must
	// succeed even after the clock was set back. Do not use it to let users
	// in.
	IssuedAnyTime bool

	// MaxLifetime limits how far exp may be in the future and after iat.
	// Default: DefaultMaxLifetime.
	MaxLifetime time.Duration

	// MaxBytes is the maximum length of a token. Default 8192, at most 65536.
	MaxBytes int

	// Profile describes the tokens of an issuer other than wsauth. Default:
	// our own claims.
	Profile *Profile

	// IntegerSubjects accepts a sub that is an integer of at most 53 bits;
	// Claims contain it in decimal. The user 7 and the user "7" are the same.
	IntegerSubjects bool

	// InsecureUntyped accepts tokens without a type, as other libraries issue
	// them, as access tokens. It is insecure because every other JWT that was
	// signed with the same keys, such as one for resetting a password, is
	// accepted, too. Only tokens that declare another type in a usual way are
	// refused (token_type, token_use, typ, use, nonce, at_hash, events). It
	// has no effect with a Profile, which defines what an access token is.
	InsecureUntyped bool

	// Namespace is put in front of sub, sid and the token's ID, followed by
	// "|", so that users and sessions of different issuers cannot collide: at
	// most 32 of a to z, 0 to 9 and -. Default: none.
	Namespace string

	// Cache is the minimum number of verified tokens to remember, so that
	// their signature is not checked again; up to twice as many are kept. Only
	// tokens signed with asymmetric keys are remembered. Negative: none.
	// Default 1024.
	Cache int
}

// NewVerifier validates c and returns a Verifier. It reports all errors in c
// at once, joined, each beginning with the name of its field.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	v := &Verifier{
		keys:         c.Keys,
		algorithms:   canonicalAlgorithms(c.Algorithms),
		issuer:       c.Issuer,
		audience:     slices.Clone(c.Audience),
		requesters:   slices.Clone(c.AuthorizedParties),
		parties:      slices.Clone(c.InsecureAuthorizedParty),
		ignored:      slices.Clone(c.IgnoredAudiences),
		mediaType:    shortMediaType(c.MediaType),
		leeway:       c.Leeway,
		issuedLeeway: max(c.Leeway, c.IssuedLeeway),
		anyTime:      c.IssuedAnyTime,
		integers:     c.IntegerSubjects,
		untyped:      c.InsecureUntyped && c.Profile == nil,
		maxLifetime:  DefaultMaxLifetime,
		maxBytes:     defaultMaxBytes,
		seen:         new(seenSessions),
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if set, fixed := c.Keys.(*KeySet); c.Keys == nil || fixed && (set == nil || len(set.keys) == 0) {
		fault("Keys: required")
	} else if fixed && len(c.Algorithms) > 0 && !slices.ContainsFunc(set.algorithms, func(a Algorithm) bool { return slices.Contains(v.algorithms, a) }) {
		fault("Algorithms: no key is for any of them")
	}
	for _, alg := range c.Algorithms {
		if _, ok := suites[alg]; !ok {
			fault("Algorithms: %q is unknown", alg)
		}
	}
	checkParties(fault, c.Issuer, c.Audience)
	v.checkParties(c, fault)
	if c.Leeway < 0 || c.Leeway > MaxLeeway {
		fault("Leeway: %s is not from 0 to %s", c.Leeway, MaxLeeway)
	}
	if c.IssuedLeeway < 0 || c.IssuedLeeway > MaxLeeway {
		fault("IssuedLeeway: %s is not from 0 to %s", c.IssuedLeeway, MaxLeeway)
	}
	if c.MaxLifetime < 0 {
		fault("MaxLifetime: %s is negative", c.MaxLifetime)
	} else if c.MaxLifetime > 0 {
		v.maxLifetime = c.MaxLifetime
	}
	if c.MaxBytes < 0 || c.MaxBytes > limitMaxBytes {
		fault("MaxBytes: %d is not from 0 to %d", c.MaxBytes, limitMaxBytes)
	} else if c.MaxBytes > 0 {
		v.maxBytes = c.MaxBytes
	}
	var err error
	if v.profile, err = c.Profile.withDefaults(); err != nil {
		fault("Profile: %w", err)
	}
	if err := namespaceFault(c.Namespace); err != nil {
		fault("Namespace: %w", err)
	}
	v.namespace = c.Namespace
	v.aging, _ = c.Keys.(AgingKeySource)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	v.cache = newCache(cmp.Or(c.Cache, defaultCache))
	return v, nil
}

// NewSecretVerifier returns a verifier of tokens that are signed with secret
// by HS256. The secret must be random and at least 32 bytes long (RFC 7518
// section 3.2); one that can be guessed is refused.
//
// The verifier has the defaults of [VerifierConfig]: tokens have a type, as
// those of an [Issuer] do, the clocks agree, iss is ignored, and a token with
// an aud is refused, because it is meant for someone else. Use [NewVerifier]
// for anything else, such as a required issuer or a second secret.
func NewSecretVerifier(secret []byte) (*Verifier, error) {
	key, err := NewKey(HS256, secret, KeyOptions{})
	if err != nil {
		return nil, err
	}
	keys, err := NewKeySet(key)
	if err != nil {
		return nil, err
	}
	return NewVerifier(VerifierConfig{Keys: keys})
}

// checkParties reports the errors in a configured issuer and audience.
func checkParties(fault func(format string, args ...any), issuer string, audience []string) {
	if f := nameFault(issuer); f != "" {
		fault("Issuer: %s", f)
	}
	for _, a := range audience {
		if f := nameFault(a); f != "" || a == "" {
			fault("Audience: %q is empty or %s", a, f)
		}
	}
}
