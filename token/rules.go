package token

import (
	"context"
	"slices"
	"time"
)

// A rule refuses claims that break it.
type rule struct {
	Error
	broken func(v *Verifier, c *Claims, now time.Time) bool
}

// rules lists all rules. The first broken one is reported.
var rules = slices.Concat(dateRules, partyRules)

// dateRules compare iat, nbf and exp with the clock (RFC 7519 sections 4.1.4 to
// 4.1.6). A token is no longer valid at exp itself.
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
	// A token with a longer lifetime would pass the rule above near the end of
	// its life, when its revocation has already been forgotten.
	{Error{ErrClaims, "exp is later after iat than MaxLifetime (max_lifetime)"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return !c.IssuedAt.IsZero() && c.ExpiresAt.Sub(c.IssuedAt) > v.maxLifetime
	}},
	{Error{ErrClaims, "exp is before iat"}, func(_ *Verifier, c *Claims, _ time.Time) bool {
		return !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(c.IssuedAt)
	}},
}

// partyRules compare iss, aud, azp and sub with what is expected.
var partyRules = []rule{
	{Error{ErrIssuer, "iss is not the expected one"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return v.issuer != "" && c.Issuer != v.issuer
	}},
	{Error{ErrAudience, "aud is present, but no audience is configured"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.audience) == 0 && len(v.parties) == 0 && c.Audience != nil
	}},
	{Error{ErrAudience, "aud is missing; insecure_authorized_party accepts such tokens by the client that requested them"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.audience) > 0 && len(v.parties) == 0 && c.Audience == nil
	}},
	{Error{ErrAudience, "aud does not name us"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.audience) > 0 && len(v.parties) == 0 && c.Audience != nil && !v.isAudience(c)
	}},
	{Error{ErrAudience, "aud does not name us, and either it names others than ignored_audiences or azp is not in insecure_authorized_party"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.parties) > 0 && !v.isAudience(c) && !v.isAuthorizedParty(c)
	}},
	{Error{ErrAudience, "the client that requested it (azp) is not in authorized_parties"}, func(v *Verifier, c *Claims, _ time.Time) bool {
		return len(v.requesters) > 0 && c.authorizedParty != "" && !slices.Contains(v.requesters, c.authorizedParty)
	}},
	{Error{ErrClaims, "sub is missing"}, func(_ *Verifier, c *Claims, _ time.Time) bool {
		return c.Subject == ""
	}},
}

// checkParties validates the authorized parties of c.
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
		fault("IgnoredAudiences: needs InsecureAuthorizedParty, which then decides by the client")
	}
	for _, a := range v.ignored {
		if slices.Contains(v.audience, a) {
			fault("IgnoredAudiences: %q is in Audience", a)
		}
	}
}

// isAudience reports whether the aud of c contains one of our names.
func (v *Verifier) isAudience(c *Claims) bool {
	return slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.audience, a) })
}

// isAuthorizedParty reports whether the aud of c names no particular service,
// and the client that requested the token is trusted to have requested it for
// us.
func (v *Verifier) isAuthorizedParty(c *Claims) bool {
	for _, a := range c.Audience {
		if !slices.Contains(v.ignored, a) {
			return false
		}
	}
	return c.authorizedParty != "" && slices.Contains(v.parties, c.authorizedParty)
}

// check returns the error of the first broken rule.
func (v *Verifier) check(rules []rule, c *Claims, now time.Time) error {
	for i := range rules {
		if rules[i].broken(v, c, now) {
			return &rules[i].Error
		}
	}
	return nil
}

// Explain returns all reasons for which [Verifier.Verify] would refuse raw
// now, while Verify returns only the first. It returns nil exactly when Verify
// accepts raw. Because it checks the claims even if the signature is wrong,
// use it only for diagnostics.
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
	v.setLeeway(c)
	now := time.Now()
	for i := range rules {
		if rules[i].broken(v, c, now) {
			faults = append(faults, &rules[i].Error)
		}
	}
	if err := v.adapt(c); err != nil {
		faults = append(faults, err)
	}
	return faults
}
