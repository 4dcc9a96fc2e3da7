package idp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wsauth/token"
	"wsauth/token/jwks"
)

// A Provider is a trusted identity provider. It is safe for concurrent use.
type Provider struct {
	issuer           string
	eventIssuer      string
	namespace        string
	clientIDs        []string
	subject          string // name of the claim that identifies the user
	integers         bool   // an integer subject is accepted
	sessionless      bool
	maybeSessionless bool
	remembered       time.Duration // how long a revocation is kept
	maxTokenBytes    int
	keys             token.KeySource
	verifier         *token.Verifier
}

// New validates c and returns a Provider. It reports all errors in c at once,
// joined, each beginning with the name of its field. It does not fetch the
// keys: [Provider.Run] or the first token does.
func New(c Config) (*Provider, error) {
	var f faults
	preset, known := presets[cmp.Or(c.Preset, Standard)]
	if !known {
		f.add("Preset: %q is not one of %q", c.Preset, Presets())
	}
	c.check(preset, &f)
	profile := c.profile(preset, &f)
	algorithms := c.algorithms(preset, &f)
	if err := errors.Join(f...); err != nil {
		return nil, err
	}

	keys := c.Keys
	if keys == nil {
		fetched, err := jwks.New(jwks.Config{
			Issuer: c.Issuer, URL: c.KeysURL, Algorithms: algorithms, InsecureHTTP: c.InsecureHTTP, Proxy: c.Proxy, Transport: c.Transport, Logger: c.Logger,
		})
		if err != nil {
			return nil, fmt.Errorf("idp: %w", err)
		}
		keys = fetched
	}
	if len(algorithms) == 0 {
		algorithms = asymmetric
	}
	mediaType := cmp.Or(c.MediaType, preset.mediaType)
	if mediaType == "JWT" {
		mediaType = "" // accepts JWT and no typ
	}
	requesters := c.AuthorizedParties
	if len(requesters) == 0 && preset.anyoneAsks {
		requesters = slices.Concat(c.Audience, c.ClientIDs)
	}
	leeway := max(0, cmp.Or(c.Leeway, defaultLeeway))
	life := cmp.Or(c.MaxLifetime, preset.maxLifetime)
	maxBytes := cmp.Or(c.MaxTokenBytes, DefaultMaxTokenBytes)
	verifier, err := token.NewVerifier(token.VerifierConfig{
		Keys: keys, Algorithms: algorithms, Issuer: c.Issuer, Audience: c.Audience, MediaType: mediaType, Profile: &profile,
		Namespace: c.Namespace, Leeway: leeway, MaxLifetime: life, MaxBytes: maxBytes,
		IntegerSubjects: c.IntegerSubjects, AuthorizedParties: requesters, InsecureAuthorizedParty: c.InsecureAuthorizedParty, IgnoredAudiences: c.IgnoredAudiences,
	})
	if err != nil {
		return nil, fmt.Errorf("idp: Config.%w", err)
	}

	clientIDs := c.ClientIDs
	if len(clientIDs) == 0 {
		clientIDs = c.Audience
	}
	if len(clientIDs) == 0 {
		clientIDs = c.InsecureAuthorizedParty
	}
	namesSession := c.Profile != nil && c.Profile.SessionID != ""
	return &Provider{
		issuer:           c.Issuer,
		eventIssuer:      cmp.Or(c.EventIssuer, preset.eventIssuer[c.Issuer], c.Issuer),
		namespace:        c.Namespace,
		clientIDs:        slices.Clone(clientIDs),
		subject:          cmp.Or(profile.Subject, "sub"),
		integers:         c.IntegerSubjects,
		sessionless:      preset.sessionless && !namesSession,
		maybeSessionless: preset.maybeSessionless && !namesSession,
		remembered:       life + leeway + maxStatementAge,
		maxTokenBytes:    maxBytes,
		keys:             keys,
		verifier:         verifier,
	}, nil
}

// Issuer returns the iss of the provider's tokens.
func (p *Provider) Issuer() string { return p.issuer }

// MaxTokenBytes returns the maximum length of a token.
func (p *Provider) MaxTokenBytes() int { return p.maxTokenBytes }

// Verifier returns the verifier of the provider's access tokens.
func (p *Provider) Verifier() *token.Verifier { return p.verifier }

// Run keeps the keys up to date until ctx is done, and returns the error of
// ctx. If Run is not called, keys are fetched only when a token needs an
// unknown one, and a key that the provider withdraws stays valid.
func (p *Provider) Run(ctx context.Context) error {
	if r, ok := p.keys.(interface{ Run(context.Context) error }); ok {
		return r.Run(ctx)
	}
	<-ctx.Done()
	return ctx.Err()
}
