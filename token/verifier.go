package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
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
	// for whoever asks (OpenID Connect Core §3.1.3.7). It needs a Profile.
	// Empty: any.
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

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	keys         KeySource
	aging        AgingKeySource // keys, if they are fetched
	algorithms   []Algorithm
	issuer       string
	audience     []string
	requesters   []string // who may have asked for a token
	parties      []string // whose tokens are for us unless aud says otherwise
	ignored      []string // values of aud that say nothing
	mediaType    string
	leeway       time.Duration
	issuedLeeway time.Duration // at least leeway
	anyTime      bool          // iat is not held against the clock
	maxLifetime  time.Duration
	maxBytes     int
	profile      *Profile
	integers     bool // as subjects
	untyped      bool // is access
	namespace    string
	cache        *cache
	seen         *seenSessions
}

// seenSessions says of which kind the tokens were that were accepted.
type seenSessions struct{ with, without, withSubject, withoutSubject atomic.Bool }

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

// Verify returns the claims of raw when a trusted key signed it and it is valid
// now. An [*Error] says what is wrong with the token. Any other error is the
// context's or that of Keys, and says that nobody can know.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c, err, found := v.cache.verify(ctx, raw); found {
		return c, err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	j, err := s.readJWS(raw, v.maxBytes)
	if err != nil {
		return nil, err
	}
	if err := v.verify(ctx, s, j); err != nil {
		return nil, err
	}
	return v.cache.keep(raw, &s.found), nil
}

// verify is Verify for a token that was taken apart. What it finds out is in s.
// It is kept small, for the stack of a new connection has little room, and to
// grow it takes 3 % of a handshake; "go run ./bench handshake" tells.
func (v *Verifier) verify(ctx context.Context, s *scratch, j *jws) error {
	if err := v.verifySignature(ctx, s, j); err != nil {
		if v.checkMediaType(j) {
			return v.orPending(err, s, v.profile, func(c *Claims) error { return v.check(rules, c, time.Now()) })
		}
		return err
	}
	if !v.checkMediaType(j) {
		return errMediaType
	}
	c, err := s.readClaims(j.payload, v.reading(v.profile))
	if err != nil {
		return err
	}
	s.found.claims = c
	if err := c.identify(j.signed); err != nil {
		return err
	}
	if err := v.verifyClaims(c); err != nil {
		return err
	}
	if c.SessionID == "" {
		note(&v.seen.without)
	} else {
		note(&v.seen.with)
	}
	switch {
	case v.profile == nil:
	case c.IssuerSubject == "":
		note(&v.seen.withoutSubject)
	default:
		note(&v.seen.withSubject)
	}
	return nil
}

// note sets seen, and writes to it once only, because all cores read it.
func note(seen *atomic.Bool) {
	if !seen.Load() {
		seen.Store(true)
	}
}

// Sessions reports whether a token that v accepted until now named a session,
// and whether one named none. Verification of a token that is remembered does
// not count again.
func (v *Verifier) Sessions() (with, without bool) {
	return v.seen.with.Load(), v.seen.without.Load()
}

// IssuerSubjects is Sessions for [Claims.IssuerSubject].
func (v *Verifier) IssuerSubjects() (with, without bool) {
	return v.seen.withSubject.Load(), v.seen.withoutSubject.Load()
}

// verifyClaims checks what a key of v has signed.
func (v *Verifier) verifyClaims(c *Claims) error {
	v.allow(c)
	if err := v.check(rules, c, time.Now()); err != nil {
		return err
	}
	return v.adopt(c)
}

// allow gives claims the leeway of v.
func (v *Verifier) allow(c *Claims) { c.leeway, c.issuedLeeway = v.leeway, v.issuedLeeway }

// adopt turns what the issuer says into what we say: its names get the
// namespace, and the payload agrees with c.
func (v *Verifier) adopt(c *Claims) error {
	if v.untyped && c.Type == "" && c.mayBeAccess() {
		c.Type = TypeAccess
	}
	if err := v.qualify(c); err != nil {
		return err
	}
	return v.rewrite(c)
}

// reading is how v reads a payload by a profile.
func (v *Verifier) reading(p *Profile) reading { return reading{p, v.integers} }

// verifySignature finds the key that signed j.
func (v *Verifier) verifySignature(ctx context.Context, s *scratch, j *jws) error {
	if len(v.algorithms) > 0 && !slices.Contains(v.algorithms, j.alg) {
		return errAlgorithm
	}
	s.found = verified{by: v}
	if set, fixed := v.keys.(*KeySet); fixed {
		s.found.keys = set
	} else if err := s.findKeys(ctx, j); err != nil {
		return err
	}
	if !slices.Contains(s.found.keys.algorithms, j.alg) {
		return errNoKeyForAlgorithm
	}
	if s.found.key = s.found.keys.verify(j); s.found.key == nil {
		return noKeyMade(j)
	}
	return nil
}

func noKeyMade(j *jws) error {
	return refuse(ErrSignature, fmt.Sprintf("no %s key made it, kid %.64q", j.alg, j.kid))
}

// findKeys asks the source of the verifier for its keys.
func (s *scratch) findKeys(ctx context.Context, j *jws) (err error) {
	v := s.found.by
	s.found.kid = string(j.kid)
	if v.aging != nil {
		s.found.keys, err = v.aging.KeySetSoon(ctx, s.found.kid)
	} else {
		s.found.keys, err = v.keys.KeySet(ctx, s.found.kid)
	}
	if err != nil {
		return fmt.Errorf("token: the keys of issuer %q: %w", v.issuer, err)
	}
	return nil
}

// orPending returns refusal, or an error that is none of the token's where the
// key that it names may have been published since the keys were fetched: where
// its iat says so, and nothing else is wrong with it. Nobody has verified what
// it says; believing it costs no more than the reading.
func (v *Verifier) orPending(refusal error, s *scratch, p *Profile, check func(*Claims) error) error {
	if refused, ok := errors.AsType[*Error](refusal); !ok || v.aging == nil || s.found.keys == nil || !errors.Is(refused.Kind, ErrSignature) && !errors.Is(refused.Kind, ErrAlgorithm) {
		return refusal
	}
	if f := suites[s.jws.alg].family; f == "" || f == familyHMAC {
		return refusal // no key that is published
	}
	c, err := s.readClaims(s.jws.payload, v.reading(p))
	if err != nil {
		return refusal
	}
	v.allow(c)
	if c.IssuedAt.IsZero() || check(c) != nil || !v.aging.MayMiss(s.found.kid, c.IssuedAt, v.leeway) {
		return refusal
	}
	return fmt.Errorf("token: the keys of issuer %q: kid %.64q may have been published after they were fetched", v.issuer, s.jws.kid)
}

var (
	errAlgorithm         = refuse(ErrAlgorithm, "alg is missing, unknown or not one of ours")
	errNoKeyForAlgorithm = refuse(ErrAlgorithm, "no key is for that alg; RSA keys that were published without alg are for RS256, or those RSA algorithms that the setting algorithms names")

	errMediaType = refuse(ErrMalformed, "header: typ is that of another kind of token")
)

// checkMediaType compares typ as RFC 7515 §4.1.9 says.
func (v *Verifier) checkMediaType(j *jws) bool {
	typ := shortMediaType(string(j.typ))
	if v.mediaType != "" {
		return strings.EqualFold(typ, v.mediaType)
	}
	return !j.hasTyp || strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "at+jwt")
}

func shortMediaType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		return typ[len(prefix):]
	}
	return typ
}

// UnverifiedHeader returns the header of raw, read as strictly as Verify does,
// up to 65536 bytes of token, but believed by nobody: no signature was checked.
// It is for diagnostics.
func UnverifiedHeader(raw string) (map[string]any, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	j, err := s.readJWS(raw, limitMaxBytes)
	if err != nil {
		return nil, err
	}
	var header map[string]any
	if err := json.Unmarshal(j.header, &header); err != nil {
		return nil, refuse(ErrMalformed, "header: a value has no Go type")
	}
	return header, nil
}
