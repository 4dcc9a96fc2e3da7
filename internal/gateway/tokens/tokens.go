// Package tokens determines which tokens the gateway accepts: its own, and
// those of identity providers.
package tokens

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"wsauth"
	"wsauth/idp"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/fault"
	"wsauth/store"
	"wsauth/token"
)

// Keys are the keys of the gateway's own tokens; see login.Keys.
type Keys interface {
	token.Signer
	token.KeySource
}

// Config configures the tokens of a gateway. Keys are required.
type Config struct {
	// Keys sign our own tokens and verify them: a [*token.KeySet], or keys
	// that are replaced while the gateway runs.
	Keys Keys

	// Issuer is the iss of issued tokens; see [discovery.CheckIssuer]. If it is
	// set, our own tokens must have it when they are verified, and the gateway
	// serves its metadata at [discovery.MetadataPath]. A new Issuer ends every
	// session. Default: none.
	Issuer string

	// IssuedLeeway is how far the iat and nbf of our own tokens may be ahead of
	// the clock: from [store.ClockStep] to a minute. A larger value is for
	// another program that signs with the same key and whose clock is ahead.
	// Default: store.ClockStep.
	IssuedLeeway time.Duration

	// IntegerSubjects accepts tokens with an integer as sub, from another
	// program with the same key; see [token.VerifierConfig].
	IntegerSubjects bool

	// InsecureUntyped accepts tokens without a type as access tokens, from
	// another program with the same key. Every other JWT that is signed with
	// that key is then accepted as well; see [token.VerifierConfig].
	InsecureUntyped bool

	// Providers are identity providers. Their access tokens are accepted for
	// sockets, tickets and sessions like our own, and they can end those
	// sessions. Each needs a namespace. Default: none.
	Providers []*idp.Provider
}

// maxIssuedLeeway is the maximum that [token.VerifierConfig] allows.
const maxIssuedLeeway = time.Minute

// Check returns c with its defaults set, and what is wrong with it. It does not
// check the keys; package login does.
func (c Config) Check() (Config, fault.List) {
	c.IssuedLeeway = cmp.Or(c.IssuedLeeway, store.ClockStep)
	var wrong fault.List
	if c.Issuer != "" {
		if err := discovery.CheckIssuer(c.Issuer); err != nil {
			wrong.Add("Issuer", "%w", err)
		}
	}
	if c.IssuedLeeway < store.ClockStep || c.IssuedLeeway > maxIssuedLeeway {
		wrong.Add("IssuedLeeway", "must be from %s to %s", store.ClockStep, maxIssuedLeeway)
	}
	return c, wrong
}

// Own returns the rules for our own tokens: iat and nbf may be ahead of the
// clock by IssuedLeeway, and exp must be in the future.
func (c *Config) Own() token.VerifierConfig {
	return token.VerifierConfig{
		Keys: c.Keys, Issuer: c.Issuer, IssuedLeeway: cmp.Or(c.IssuedLeeway, store.ClockStep), IntegerSubjects: c.IntegerSubjects, InsecureUntyped: c.InsecureUntyped,
	}
}

// Verifiers verify the tokens in requests.
type Verifiers struct {
	Own *token.Verifier // of our own tokens
	All wsauth.Verifier // of our own tokens, and those of the providers

	// Ending is like All, but for requests that end a session: it accepts our
	// own tokens even if the clock was set back after they were issued.
	Ending wsauth.Verifier
}

// Verifiers returns the verifiers for c.
func (c *Config) Verifiers() (v Verifiers, err error) {
	rules := c.Own()
	if v.Own, v.All, err = c.verifier(rules); err != nil {
		return Verifiers{}, err
	}
	rules.IssuedAnyTime = true
	if _, v.Ending, err = c.verifier(rules); err != nil {
		return Verifiers{}, err
	}
	return v, nil
}

// verifier returns a verifier for our own tokens by the given rules, and one
// for these and the tokens of the providers.
func (c *Config) verifier(rules token.VerifierConfig) (own *token.Verifier, all wsauth.Verifier, err error) {
	own, err = token.NewVerifier(rules)
	if err != nil {
		return nil, nil, fmt.Errorf("gateway: verifier: %w", err)
	}
	if len(c.Providers) == 0 {
		return own, own, nil
	}
	verifiers := []*token.Verifier{own}
	for _, p := range c.Providers {
		verifiers = append(verifiers, p.Verifier())
	}
	all, err = token.NewVerifiers(verifiers...)
	if err != nil {
		return nil, nil, fmt.Errorf("gateway: Config.Tokens.Providers: %w", err)
	}
	return own, all, nil
}

// Follow keeps the keys of the providers up to date until stop is called.
func (c *Config) Follow() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	for _, p := range c.Providers {
		following.Go(func() { _ = p.Run(ctx) }) // returns only the error of ctx
	}
	return func() {
		cancel()
		following.Wait()
	}
}

// LongTokens returns how many more bytes the header fields of a request may
// have because a provider issues tokens longer than
// [idp.DefaultMaxTokenBytes]. A subprotocol may carry a token in base64, which
// makes it a third longer.
func (c *Config) LongTokens() int {
	longest := 0
	for _, p := range c.Providers {
		longest = max(longest, p.MaxTokenBytes())
	}
	return max(0, longest-idp.DefaultMaxTokenBytes) * 4 / 3
}
