package wsauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"

	"wsauth/token"
)

// Check decides whether r may pass, and writes nothing. It returns the claims
// of its token, or an [*Error] for [Guard.Refuse]. A ticket is used up by it.
//
// The claims are nil if an [Optional] requirement found no credential, and if
// the token of an upgrade is to come in the first message; see [FirstMessage].
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
	var claims *token.Claims
	switch {
	case credential.Token != "":
		if claims, err = g.authenticate(r, upgrade, credential, q); err != nil {
			return nil, err
		}
	case q == Optional:
	case upgrade && g.firstMessage != nil:
		return nil, nil // Authorize is asked when the claims are known
	default:
		return nil, g.missing(r, q)
	}
	if err := g.authorize(r, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// authenticate turns a credential into claims that satisfy q.
func (g *Guard) authenticate(r *http.Request, upgrade bool, c Credential, q Requirement) (*token.Claims, error) {
	if c.CSRFRequired && c.CSRF == "" {
		return nil, refuseWith(CSRFMismatch, "Missing CSRF Token")
	}
	var claims *token.Claims
	var err error
	switch {
	case !c.Ticket:
		claims, err = g.verify(r.Context(), c.Token)
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

// errNoCredential is the cause of a refusal of a request without a credential.
var errNoCredential = errors.New("no credential")

// missing returns the refusal for a request that needs a credential and has
// none. If a location has passed over another's credential, the client
// probably took that for ours, so the refusal is about it.
func (g *Guard) missing(r *http.Request, q Requirement) *Error {
	for _, l := range g.config.Locations {
		if l, ok := l.(interface{ foreign(r *http.Request) *Error }); ok {
			if refusal := l.foreign(r); refusal != nil {
				return refusal
			}
		}
	}
	return &Error{Reason: TokenMissing, Message: g.config.Locations[0].Missing(q), Err: errNoCredential}
}

func (g *Guard) verify(ctx context.Context, raw string) (*token.Claims, error) {
	claims, err := g.config.Verifier.Verify(ctx, raw)
	if err != nil {
		return nil, refuseToken(err)
	}
	return claims, nil
}

// checkClaims refuses a token that was revoked, and one that q does not want.
func (g *Guard) checkClaims(ctx context.Context, claims *token.Claims, q Requirement) error {
	if err := g.checkRevoked(ctx, claims); err != nil {
		return err
	}
	return q.check(claims)
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

// authorize asks the application. r is nil for a socket that kept no request.
func (g *Guard) authorize(r *http.Request, claims *token.Claims) error {
	var err error
	if g.config.AuthorizeClaims != nil {
		err = g.config.AuthorizeClaims(claims)
	}
	if err == nil && g.config.Authorize != nil && r != nil {
		err = g.config.Authorize(r, claims)
	}
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return refuse(NotAuthorized, err)
}
