package jwks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsauth/token"
)

// clockLeeway is the tolerated difference to the clock of a provider.
const clockLeeway = 30 * time.Second

// NewVerifier returns a verifier of the access tokens of one provider. In the
// background it fetches the keys, and keeps them up to date until ctx is done;
// see [Keys.Run]. After that it uses the keys that it has.
//
// NewVerifier does not wait for the provider. It fails only if c is not valid,
// and reports all errors in c at once. Until the first successful fetch,
// [token.Verifier.Verify] waits for a fetch for at most 2 s, and then fails
// with [ErrUnavailable]: it is unknown whether the token is valid, so a guard
// answers 503, not 401. Later failures affect only tokens with an unknown key.
// Config.Logger records the beginning and the end of each outage.
//
// A token must have the typ of Config.MediaType, an iat, the given iss and an
// audience in aud. The clocks may differ by 30 s. A token with a claim that
// belongs to ID tokens is refused. Scopes are read from the claim scope, roles
// from roles. Not every provider marks its access tokens well enough for these
// rules: package idp knows those of common products. For other rules, pass the
// Keys of [New] to [token.NewVerifier].
func NewVerifier(ctx context.Context, c Config) (*token.Verifier, error) {
	keys, err := newWithLifetime(ctx, c)
	var faults []error
	if c.Issuer == "" && c.URL != "" {
		faults = append(faults, errors.New("jwks: Config.Issuer: required: the iss of the tokens"))
	}
	if len(c.Audience) == 0 {
		faults = append(faults, errors.New("jwks: Config.Audience: required: tokens for other audiences are refused"))
	}
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	mediaType := c.MediaType
	switch mediaType {
	case "":
		mediaType = "at+jwt"
	case "JWT":
		mediaType = "" // accepts JWT and no typ
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{
		Keys: keys, Issuer: c.Issuer, Audience: c.Audience, MediaType: mediaType, Leeway: clockLeeway,
		Profile: &token.Profile{
			Roles:   "roles",
			Require: map[string][]string{"iat": nil},
			// OpenID Connect Core sections 2 and 3.3.2.11.
			Refuse: []string{"nonce", "at_hash", "c_hash", "s_hash"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("jwks: Config.%w", err)
	}
	go func() { _ = keys.Run(ctx) }() // returns only the error of ctx
	return verifier, nil
}
