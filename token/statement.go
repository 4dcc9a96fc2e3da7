package token

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

const (
	defaultMaxAge = 5 * time.Minute
	limitMaxAge   = 24 * time.Hour
)

// StatementRules say which statements of an issuer to accept. A statement is
// signed like a token but is not a credential: it is a logout token (OpenID
// Connect Back-Channel Logout 1.0 section 2.4) or a Security Event Token (RFC
// 8417).
type StatementRules struct {
	// MediaTypes lists the accepted typ headers, such as "secevent+jwt". Case
	// is ignored. "" means "JWT" or no typ. Required.
	MediaTypes []string

	// Audience holds our names at the issuer; aud must contain one of them.
	// Required.
	Audience []string

	// Issuer is the exact iss of the statements. Default: the Issuer of the
	// verifier.
	Issuer string

	// MaxAge is the maximum time since iat: up to 24 hours, default 5 minutes.
	MaxAge time.Duration
}

// VerifyStatement verifies a statement and returns its claims. A statement must
// have a jti and an iat; exp and sub are optional. Names in the claims are
// those of the issuer, without the namespace of v; [Verifier.Qualify] adds it.
// The Type of the claims is empty, so they are never accepted as those of a
// token. Errors are those of Verify.
func (v *Verifier) VerifyStatement(ctx context.Context, raw string, rules StatementRules) (*Claims, error) {
	if len(rules.MediaTypes) == 0 || len(rules.Audience) == 0 || rules.MaxAge < 0 || rules.MaxAge > limitMaxAge {
		return nil, errors.New("token: StatementRules: MediaTypes and Audience are required, MaxAge is at most 24 hours")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	j, err := s.readJWS(raw, v.maxBytes)
	if err != nil {
		return nil, err
	}
	if err := v.verifySignature(ctx, s, j); err != nil {
		if rules.allows(j) {
			err = v.orPending(err, s, statementProfile, func(c *Claims) error { return v.checkStatement(c, rules, time.Now()) })
		}
		return nil, err
	}
	if !rules.allows(j) {
		return nil, refuse(ErrMalformed, "header: typ is not that of such a statement")
	}
	c, err := s.readClaims(j.payload, v.reading(statementProfile))
	if err != nil {
		return nil, err
	}
	c.Type = ""
	v.setLeeway(c)
	return c, v.checkStatement(c, rules, time.Now())
}

// statementProfile reads the registered claims only.
var statementProfile = &Profile{Subject: "sub", Audience: "aud", SessionID: "sid", Scopes: "scope"}

func (r StatementRules) allows(j *jws) bool {
	typ := shortMediaType(string(j.typ))
	if strings.EqualFold(typ, "JWT") {
		typ = ""
	}
	return slices.ContainsFunc(r.MediaTypes, func(m string) bool { return strings.EqualFold(m, typ) })
}

func (v *Verifier) checkStatement(c *Claims, rules StatementRules, now time.Time) error {
	maxAge := rules.MaxAge
	if maxAge == 0 {
		maxAge = defaultMaxAge
	}
	issuer := cmp.Or(rules.Issuer, v.issuer)
	switch {
	case c.IssuedAt.IsZero() || c.ID == "":
		return refuse(ErrClaims, "iat or jti is missing")
	case c.IssuedAt.After(now.Add(v.issuedLeeway)):
		return refuse(ErrIssuedInFuture, "iat is later than now")
	case c.NotBefore.After(now.Add(v.issuedLeeway)):
		return refuse(ErrNotYetValid, "nbf is later than now")
	case !c.ExpiresAt.IsZero() && !now.Before(c.ValidUntil()):
		return refuse(ErrExpired, "exp has passed")
	case now.Sub(c.IssuedAt) > maxAge+v.leeway:
		return refuse(ErrExpired, "iat is longer ago than MaxAge")
	case issuer == "" || c.Issuer != issuer:
		return refuse(ErrIssuer, "iss is not the expected one")
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(rules.Audience, a) }):
		return refuse(ErrAudience, "aud does not name us")
	}
	return nil
}

// UnverifiedIssuer returns the iss of raw, or "" if there is none, to choose
// the [Verifier]. It parses raw as strictly as Verify does, but does not check
// the signature.
func UnverifiedIssuer(raw string) (string, error) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	j, err := s.readJWS(raw, limitMaxBytes)
	if err != nil {
		return "", err
	}
	return s.readIssuer(j.payload)
}
