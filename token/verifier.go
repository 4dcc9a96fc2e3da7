package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	keys       KeySource
	aging      AgingKeySource // keys, if they are fetched; else nil
	algorithms []Algorithm
	issuer     string
	audience   []string
	requesters []string // clients that may have requested a token
	// clients whose tokens need not name us in aud
	parties      []string
	ignored      []string // values of aud that name no particular service
	mediaType    string
	leeway       time.Duration
	issuedLeeway time.Duration // at least leeway
	anyTime      bool          // iat is not compared with the clock
	maxLifetime  time.Duration
	maxBytes     int
	profile      *Profile
	integers     bool // a subject may be an integer
	untyped      bool // a token without a type is an access token
	namespace    string
	cache        *cache
	seen         *seenSessions
}

// seenSessions records which kinds of tokens were accepted.
type seenSessions struct{ with, without, withSubject, withoutSubject atomic.Bool }

// MaxLifetime returns the maximum lifetime of a token; see [VerifierConfig].
func (v *Verifier) MaxLifetime() time.Duration { return v.maxLifetime }

// Verify returns the claims of raw if a trusted key signed it and it is valid
// now. If the token is not valid, the error is an [*Error]. Any other error is
// the context's or that of Keys, and means that the validity is unknown.
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

// verify is Verify for a token that has been split. It stores its results in
// s. It uses little stack, because the goroutine of a new connection has a
// small one, and growing it takes 3 % of a handshake; measure with "go run
// ./bench handshake".
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

// note sets seen. It writes only once, because all cores read it.
func note(seen *atomic.Bool) {
	if !seen.Load() {
		seen.Store(true)
	}
}

// SeenSessions reports whether v has accepted tokens with a session (sid) and
// tokens without one.
func (v *Verifier) SeenSessions() (with, without bool) {
	return v.seen.with.Load(), v.seen.without.Load()
}

// SeenIssuerSubjects is like SeenSessions, for [Claims.IssuerSubject].
func (v *Verifier) SeenIssuerSubjects() (with, without bool) {
	return v.seen.withSubject.Load(), v.seen.withoutSubject.Load()
}

// verifyClaims checks claims whose signature is valid.
func (v *Verifier) verifyClaims(c *Claims) error {
	v.setLeeway(c)
	if err := v.check(rules, c, time.Now()); err != nil {
		return err
	}
	return v.adapt(c)
}

// setLeeway sets the leeway of c to that of v.
func (v *Verifier) setLeeway(c *Claims) { c.leeway, c.issuedLeeway = v.leeway, v.issuedLeeway }

// adapt converts the claims of another issuer: it adds the namespace to names
// and makes the payload agree with c.
func (v *Verifier) adapt(c *Claims) error {
	if v.untyped && c.Type == "" && c.mayBeAccess() {
		c.Type = TypeAccess
	}
	if err := v.qualify(c); err != nil {
		return err
	}
	return v.rewrite(c)
}

// reading returns the options for parsing a payload with profile p.
func (v *Verifier) reading(p *Profile) reading { return reading{p, v.integers} }

// verifySignature finds the key that signed j. It stores its results in
// s.found.
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
		return refuseSignature(j)
	}
	return nil
}

func refuseSignature(j *jws) error {
	return refuse(ErrSignature, fmt.Sprintf("not made by any of our %s keys, kid %.64q", j.alg, j.kid))
}

// findKeys asks the key source for the current keys.
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

// orPending returns refusal, unless the token may be signed with a key that
// was published after the keys were fetched. In that case it returns an error
// that is not an [*Error], because the validity is unknown. It decides by the
// iat of the token, and only if nothing else is wrong with it. These claims
// are not verified; believing them costs no more than a fetch of the keys.
func (v *Verifier) orPending(refusal error, s *scratch, p *Profile, check func(*Claims) error) error {
	if refused, ok := errors.AsType[*Error](refusal); !ok || v.aging == nil || s.found.keys == nil || !errors.Is(refused.Kind, ErrSignature) && !errors.Is(refused.Kind, ErrAlgorithm) {
		return refusal
	}
	if f := suites[s.jws.alg].family; f == "" || f == familyHMAC {
		return refusal // such keys are never published
	}
	c, err := s.readClaims(s.jws.payload, v.reading(p))
	if err != nil {
		return refusal
	}
	v.setLeeway(c)
	if c.IssuedAt.IsZero() || check(c) != nil || !v.aging.MayMiss(s.found.kid, c.IssuedAt, v.leeway) {
		return refusal
	}
	return fmt.Errorf("token: the keys of issuer %q: kid %.64q may have been published after they were fetched", v.issuer, s.jws.kid)
}

var (
	errAlgorithm         = refuse(ErrAlgorithm, "alg is missing, unknown or not one of ours")
	errNoKeyForAlgorithm = refuse(ErrAlgorithm, "no key is for that alg; published RSA keys without alg are for RS256 or the RSA algorithms in the setting algorithms")

	errMediaType = refuse(ErrMalformed, "header: typ is that of another kind of token; MediaType (typ) names the expected one")
)

// checkMediaType compares typ by the rules of RFC 7515 section 4.1.9.
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

// UnverifiedHeader returns the header of raw, a token of at most 65536 bytes,
// for diagnostics. It parses raw as strictly as Verify does, but does not
// check the signature.
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

// unnamedPrefix begins the ID of a token without a jti. A jti must not begin
// with it, so no token can take the ID of another.
const unnamedPrefix = "unnamed-sha256:"

// identify sets the ID of a token without a jti to a hash of its signing input
// (RFC 7515 section 5.1). The hash does not include the signature, because that
// can be changed: if (r, s) is a valid ECDSA signature, so is (r, n−s).
//
//go:noinline
func (c *Claims) identify(signed []byte) error {
	switch {
	case c.ID == "":
		sum := sha256.Sum256(signed)
		c.ID = unnamedPrefix + encode(sum[:])
	case strings.HasPrefix(c.ID, unnamedPrefix):
		return refuse(ErrClaims, "jti begins with "+unnamedPrefix+", which names tokens without one")
	}
	return nil
}
