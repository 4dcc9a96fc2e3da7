package wsauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"

	"wsauth/token"
)

// Check decides whether r may pass, and writes nothing: [Guard.Require] is
// Check and an answer. It returns the claims of the token, nil claims where an
// [Optional] requirement found no credential, or an [*Error].
func (g *Guard) Check(r *http.Request, q Requirement) (*token.Claims, error) {
	upgrade := isUpgrade(r)
	if upgrade {
		if err := checkHandshake(r); err != nil {
			return nil, err
		}
		if err := g.checkOrigin(r); err != nil {
			return nil, err
		}
	}
	credential, err := g.extract(r, q)
	if err != nil {
		return nil, err
	}
	if upgrade {
		if err := g.checkAmbient(r, credential); err != nil {
			return nil, err
		}
	}
	claims, err := g.authenticate(r.Context(), credential, q)
	if err != nil {
		return nil, err
	}
	return claims, g.authorize(r, claims)
}

// authenticate turns a credential into claims that satisfy q.
func (g *Guard) authenticate(ctx context.Context, c Credential, q Requirement) (*token.Claims, error) {
	if c.Token == "" {
		if q == Optional {
			return nil, nil
		}
		return nil, refuseWith(TokenMissing, g.config.Locations[0].Missing(q))
	}
	if c.CSRFRequired && c.CSRF == "" {
		return nil, refuseWith(CSRFMismatch, "Missing CSRF Token")
	}
	claims, err := g.config.Verifier.Verify(ctx, c.Token)
	if err != nil {
		return nil, refuseToken(err)
	}
	if err := g.checkRevoked(ctx, claims); err != nil {
		return nil, err
	}
	if err := q.check(claims); err != nil {
		return nil, err
	}
	if err := checkCSRF(c, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// tokenTexts are the texts for the client, those of the programs that wsauth
// grew from where they have one.
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

// refuseToken makes the refusal for an error of the verifier. An error that
// does not say what is wrong with the token is the verifier's own trouble.
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

func (g *Guard) checkRevoked(ctx context.Context, claims *token.Claims) error {
	if g.config.Revoked == nil {
		return nil
	}
	revoked, err := g.config.Revoked(ctx, claims)
	switch {
	case err != nil:
		return refuse(StoreUnavailable, err)
	case revoked:
		return refuse(TokenRevoked, nil)
	}
	return nil
}

// checkCSRF is the double submit: the page's value must be the one in the
// signed token.
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

func (g *Guard) authorize(r *http.Request, claims *token.Claims) error {
	if g.config.Authorize == nil {
		return nil
	}
	err := g.config.Authorize(r, claims)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return refuse(NotAuthorized, err)
}
