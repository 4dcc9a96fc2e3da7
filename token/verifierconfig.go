package token

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	maxLeeway          = time.Minute
	defaultMaxLifetime = 366 * 24 * time.Hour
	defaultCache       = 1024
)

// VerifierConfig says which tokens to accept.
type VerifierConfig struct {
	// Keys are the keys that may have signed a token. Required.
	Keys KeySource

	// Algorithms narrows the algorithms of Keys. Empty: all of them.
	Algorithms []Algorithm

	// Issuer is the iss that a token must have, exactly. Empty: iss is not
	// looked at.
	Issuer string

	// Audience holds our own names: the aud of a token must contain one of
	// them. Empty: a token that has an aud was meant for someone else, and
	// is refused.
	Audience []string

	// AuthorizedParties are the clients of the issuer that may have asked for
	// a token: if it says who did (azp, see Profile.AuthorizedParty), it must
	// be one of them. It is for an issuer that makes tokens for an audience
	// at the request of any client (OpenID Connect Core §3.1.3.7). It needs a
	// Profile. Empty: any.
	AuthorizedParties []string

	// InsecureAuthorizedParty are clients of the issuer whose tokens are
	// accepted where nothing says whom they are for: where aud is absent, or
	// all of it is in IgnoredAudiences. It is insecure because the claim that
	// is compared (azp, see Profile.AuthorizedParty) says who asked for the
	// token, not for whom: each server to which such a client sends its
	// tokens can use them here. It needs a Profile. Empty: none.
	InsecureAuthorizedParty []string

	// IgnoredAudiences are values of aud that stand in every token of the
	// issuer and name nobody that one would send it to, such as "account" of
	// Keycloak. They matter to InsecureAuthorizedParty only.
	IgnoredAudiences []string

	// MediaType is the typ header that a token must have, such as "at+jwt"
	// (RFC 9068), without regard to case and to a leading "application/".
	// Empty: typ is absent, "JWT" or "at+jwt".
	MediaType string

	// Leeway is how far the clocks of issuer and verifier may disagree, in
	// iat, nbf and exp: 0 to 60 s, default 0.
	Leeway time.Duration

	// IssuedLeeway is how far iat and nbf may lie ahead of the clock, where
	// that is more than Leeway: 0 to 60 s, default 0. It is for a verifier
	// of its own tokens, whose clock may be set back after it has issued
	// one. A token lives no longer for it.
	IssuedLeeway time.Duration

	// IssuedAnyTime accepts tokens whose iat is ahead of the clock by however
	// much, and with it an nbf that is not later. It is for requests with
	// which users take back what a token began: they must succeed even after
	// the clock was set back. Let nobody in by it.
	IssuedAnyTime bool

	// MaxLifetime is how far in the future exp may lie, and how long after
	// iat. Default 366 days.
	MaxLifetime time.Duration

	// MaxBytes is the longest token that is looked at. Default 8192, at
	// most 65536.
	MaxBytes int

	// Profile is for an issuer that is not wsauth. Default: our own claims.
	Profile *Profile

	// IntegerSubjects accepts a sub that is an integer, of at most 53 bits:
	// Claims have its decimal digits. The user 7 and the user "7" are one.
	IntegerSubjects bool

	// InsecureUntyped takes a token without a type for an access token, as
	// other libraries issue them. It is insecure because every JWT that was
	// signed with the same keys for another purpose, such as to reset a
	// password, passes as well; those are refused that say so in a way that
	// is usual (token_type, token_use, typ, use, nonce, at_hash, events). It
	// has no effect with a Profile, which says what an access token is.
	InsecureUntyped bool

	// Namespace is put before sub, sid and the token's ID, with a "|" in
	// between, so that the users and sessions of one issuer never meet those
	// of another: at most 32 of a to z, 0 to 9 and -. Default: none.
	Namespace string

	// Cache is how many tokens are remembered at least, and at most twice
	// as many, whose signature is then not checked again: only those of
	// asymmetric keys. A negative one is none. Default 1024.
	Cache int
}

// NewVerifier reports every fault of the configuration at once, joined, each
// beginning with the name of its field.
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
		maxLifetime:  defaultMaxLifetime,
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
	if f := nameFault(c.Issuer); f != "" {
		fault("Issuer: %s", f)
	}
	for _, a := range c.Audience {
		if f := nameFault(a); f != "" || a == "" {
			fault("Audience: %q is empty or %s", a, f)
		}
	}
	v.checkParties(c, fault)
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		fault("Leeway: %s is not from 0 to %s", c.Leeway, maxLeeway)
	}
	if c.IssuedLeeway < 0 || c.IssuedLeeway > maxLeeway {
		fault("IssuedLeeway: %s is not from 0 to %s", c.IssuedLeeway, maxLeeway)
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
