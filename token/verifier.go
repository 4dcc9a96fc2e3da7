package token

import (
	"context"
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
