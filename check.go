package wsauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"

	"wsauth/token"
)

// Check decides whether r is allowed, without writing an answer. It returns
// the claims of its token, or an [*Error] for [Guard.Refuse]. Checking a
// ticket uses it up.
//
// The claims are nil if q is [Optional] and r has no credential, and if the
// token of an upgrade is expected in the first message; see [FirstMessage].
// [Guard.Admit] then admits a socket without claims.
func (g *Guard) Check(r *http.Request, q Requirement) (*token.Claims, error) {
	upgrade := isUpgrade(r)
	if upgrade {
		if err := g.checkRate(r); err != nil {
			return nil, err
		}
		if err := checkHandshake(r); err != nil {
			return nil, err
		}
		if err := g.origins.check(r); err != nil {
			return nil, err
		}
	}
	credential, err := g.extractors.extract(r, q)
	if err != nil {
		return nil, err
	}
	if upgrade {
		if err := g.origins.checkCredential(r, credential); err != nil {
			return nil, err
		}
	}
	var claims *token.Claims
	switch {
	case credential.Token != "":
		if claims, err = g.authenticate(r, upgrade, credential, q); err != nil {
			return nil, err
		}
	case q == Optional:
	case upgrade && g.extractors.firstMessage != nil:
		return nil, nil // Config.Authorize follows the first message
	default:
		return nil, g.extractors.missing(r, q)
	}
	if err := authorize(g.config.Authorize, r, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// authenticate verifies a credential and returns its claims, which satisfy q.
func (g *Guard) authenticate(r *http.Request, upgrade bool, c Credential, q Requirement) (*token.Claims, error) {
	if c.CSRFRequired && c.CSRF == "" {
		return nil, refuseWith(CSRFMismatch, "Missing CSRF Token")
	}
	var claims *token.Claims
	var err error
	switch {
	case !c.Ticket:
		claims, err = verify(r.Context(), g.config.Verifier, c.Token)
	case upgrade:
		claims, err = g.redeem(r, c.Token)
	default:
		err = refuseWith(InvalidRequest, "A ticket opens a socket and nothing else")
	}
	if err != nil {
		return nil, err
	}
	if err := g.checkClaims(r.Context(), claims, q); err != nil {
		return nil, err
	}
	if err := checkCSRF(c, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// errNoCredential is the logged cause when a request without a credential is
// refused.
var errNoCredential = errors.New("no credential")

// verify returns the claims of a token, or its refusal.
func verify(ctx context.Context, v Verifier, raw string) (*token.Claims, error) {
	claims, err := v.Verify(ctx, raw)
	if err != nil {
		return nil, refuseToken(err)
	}
	return claims, nil
}

// checkClaims refuses a revoked token, and one that does not satisfy q.
func (g *Guard) checkClaims(ctx context.Context, claims *token.Claims, q Requirement) error {
	if err := g.revocations.check(ctx, claims); err != nil {
		return err
	}
	if err := checkDenylist(ctx, g.config.Denylist, claims); err != nil {
		return err
	}
	return q.check(claims)
}

// checkDenylist refuses claims that isRevoked reports as revoked. isRevoked is
// Config.Denylist, and may be nil.
func checkDenylist(ctx context.Context, isRevoked func(context.Context, *token.Claims) (bool, error), claims *token.Claims) error {
	if isRevoked == nil {
		return nil
	}
	revoked, err := isRevoked(ctx, claims)
	switch {
	case err != nil:
		return refuse(StoreUnavailable, err)
	case revoked:
		return refuse(TokenRevoked, nil)
	}
	return nil
}

// tokenTexts maps errors of the verifier to texts for the client. wsauth grew
// from the programs in examples/query and examples/cookie; where these have a
// text for an error, it is the same here.
var tokenTexts = []struct {
	kind error
	text string
}{
	{token.ErrSegments, "Not enough segments"},
	{token.ErrSignature, "Signature verification failed"},
	{token.ErrNotYetValid, "The token is not yet valid (nbf)"},
	{token.ErrIssuedInFuture, "The token is not yet valid (iat)"},
	{token.ErrAlgorithm, "The specified alg value is not allowed"},
	{token.ErrAudience, "Invalid audience"},
	{token.ErrIssuer, "Invalid issuer"},
	{token.ErrMalformed, "Invalid token"},
	{token.ErrClaims, "Invalid claims"},
}

// refuseToken returns the refusal for an error of the verifier. An error that
// is not about the token is a failure of the verifier itself.
func refuseToken(err error) *Error {
	if errors.Is(err, token.ErrExpired) {
		return refuse(TokenExpired, err)
	}
	for _, t := range tokenTexts {
		if errors.Is(err, t.kind) {
			return &Error{Reason: TokenInvalid, Message: t.text, Err: err}
		}
	}
	return refuse(StoreUnavailable, err)
}

// checkCSRF checks the double submit: the value that the page sent must equal
// the csrf claim of the signed token.
func checkCSRF(c Credential, claims *token.Claims) error {
	switch {
	case !c.CSRFRequired:
		return nil
	case claims.CSRF == "":
		return refuseWith(CSRFMismatch, "Missing claim: csrf")
	case subtle.ConstantTimeCompare([]byte(c.CSRF), []byte(claims.CSRF)) != 1:
		return refuse(CSRFMismatch, nil)
	}
	return nil
}
