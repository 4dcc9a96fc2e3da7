package token

import (
	"context"
	"slices"
	"time"
)

// A rule refuses the claims for which it is broken.
type rule struct {
	Error
	broken func(v *Verifier, c *Claims, now time.Time) bool
}

// rules are what the claims must obey, in the order in which a broken one counts.
var rules = slices.Concat(dateRules, partyRules)

// dateRules hold iat, nbf and exp against the clock (RFC 7519 §4.1.4 to
// §4.1.6). A token is no longer valid at exp itself.
var dateRules = []rule{
	{Error{ErrIssuedInFuture, "iat is later than now; IssuedLeeway (issued_leeway) allows for an issuer whose clock is ahead"}, func(v *Verifier, c *Claims, now time.Time) bool {
		return !v.anyTime && c.IssuedAt.After(now.Add(v.issuedLeeway))
	}},
	{Error{ErrNotYetValid, "nbf is later than now; IssuedLeeway (issued_leeway) allows for an issuer whose clock is ahead"}, func(v *Verifier, c *Claims, now time.Time) bool {
		return c.NotBefore.After(now.Add(v.issuedLeeway)) && (!v.anyTime || c.NotBefore.After(c.IssuedAt))
	}},
	{Error{ErrClaims, "exp is missing"}, func(_ *Verifier, c *Claims, _ time.Time) bool {
		return c.ExpiresAt.IsZero()
	}},
	{Error{ErrExpired, "exp has passed"}, func(_ *Verifier, c *Claims, now time.Time) bool {
		return !c.ExpiresAt.IsZero() && !now.Before(c.ValidUntil())
	}},
	{Error{ErrClaims, "exp is further away than MaxLifetime (max_lifetime)"}, func(v *Verifier, c *Claims, now time.Time) bool {
		return !v.anyTime && c.ExpiresAt.After(now.Add(v.issuedLeeway).Add(v.maxLifetime))
	}},
	// Or else one that lives longer would be good at the end of its life, when its revocation is forgotten.
	{Error{ErrClaims, "exp is later after iat than MaxLifetime (max_lifetime)"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return !c.IssuedAt.IsZero() && c.ExpiresAt.Sub(c.IssuedAt) > v.maxLifetime
	}},
	{Error{ErrClaims, "exp is before iat"}, func(_ *Verifier, c *Claims, _ time.Time) bool {
		return !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(c.IssuedAt)
	}},
}

// partyRules hold iss, aud and sub against those that are expected.
var partyRules = []rule{
	{Error{ErrIssuer, "iss is not the expected one"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return v.issuer != "" && c.Issuer != v.issuer
	}},
	{Error{ErrAudience, "aud is present, and we have no name"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.audience) == 0 && len(v.parties) == 0 && c.Audience != nil
	}},
	{Error{ErrAudience, "aud is missing; insecure_authorized_party takes such a token by the client that asked for it"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.audience) > 0 && len(v.parties) == 0 && c.Audience == nil
	}},
	{Error{ErrAudience, "aud does not name us"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.audience) > 0 && len(v.parties) == 0 && c.Audience != nil && !v.isAudience(c)
	}},
	{Error{ErrAudience, "aud does not name us, and either it names others than ignored_audiences or azp is not in insecure_authorized_party"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.parties) > 0 && !v.isAudience(c) && !v.isAuthorizedParty(c)
	}},
	{Error{ErrAudience, "another client than those of authorized_parties has asked for it (azp)"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.requesters) > 0 && c.authorizedParty != "" && !slices.Contains(v.requesters, c.authorizedParty)
	}},
	{Error{ErrClaims, "sub is missing"}, func(_ *Verifier, c *Claims, _ time.Time) bool {
		return c.Subject == ""
	}},
}

// checkParties reports what is wrong with the authorized parties of c.
func (v *Verifier) checkParties(c VerifierConfig, fault func(format string, args ...any)) {
	for name, list := range map[string][]string{"AuthorizedParties": v.requesters, "InsecureAuthorizedParty": v.parties, "IgnoredAudiences": v.ignored} {
		for _, one := range list {
			if f := nameFault(one); f != "" || one == "" {
				fault("%s: %q is empty or %s", name, one, f)
			}
		}
	}
	switch {
	case len(v.requesters) > 0 && c.Profile == nil:
		fault("AuthorizedParties: needs a Profile, which names the claim")
	case len(v.parties) > 0 && c.Profile == nil:
		fault("InsecureAuthorizedParty: needs a Profile, which names the claim")
	case len(v.parties) == 0 && len(v.ignored) > 0:
		fault("IgnoredAudiences: needs InsecureAuthorizedParty: who asked for a token whose aud is ignored must be known")
	}
	for _, a := range v.ignored {
		if slices.Contains(v.audience, a) {
			fault("IgnoredAudiences: %q is in Audience", a)
		}
	}
}

// isAudience reports whether c is for us.
func (v *Verifier) isAudience(c *Claims) bool {
	return slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.audience, a) })
}

// isAuthorizedParty reports whether c says nothing of whom it is for, and was
// asked for by a client that is trusted to have meant us.
func (v *Verifier) isAuthorizedParty(c *Claims) bool {
	for _, a := range c.Audience {
		if !slices.Contains(v.ignored, a) {
			return false
		}
	}
	return c.authorizedParty != "" && slices.Contains(v.parties, c.authorizedParty)
}

// check returns what the first broken rule refuses c for.
func (v *Verifier) check(rules []rule, c *Claims, now time.Time) error {
	for i := range rules {
		if rules[i].broken(v, c, now) {
			return &rules[i].Error
		}
	}
	return nil
}

// Explain returns all reasons for which [Verifier.Verify] would refuse raw now,
// where Verify returns the first: what is wrong with the signature does not keep
// it from judging the claims, which are believed by nobody. It is for
// diagnostics, and returns nothing exactly when Verify accepts raw.
func (v *Verifier) Explain(ctx context.Context, raw string) []error {
	if err := ctx.Err(); err != nil {
		return []error{err}
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	j, err := s.readJWS(raw, v.maxBytes)
	if err != nil {
		return []error{err}
	}
	var faults []error
	if err := v.verifySignature(ctx, s, j); err != nil {
		faults = append(faults, err)
	}
	if !v.checkMediaType(j) {
		faults = append(faults, errMediaType)
	}
	c, err := s.readClaims(j.payload, v.reading(v.profile))
	if err != nil {
		return append(faults, err)
	}
	if err := c.identify(j.signed); err != nil {
		faults = append(faults, err)
	}
	v.allow(c)
	now := time.Now()
	for i := range rules {
		if rules[i].broken(v, c, now) {
			faults = append(faults, &rules[i].Error)
		}
	}
	if err := v.adopt(c); err != nil {
		faults = append(faults, err)
	}
	return faults
}
