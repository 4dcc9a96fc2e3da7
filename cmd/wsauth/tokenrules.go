package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"wsauth/idp"
	"wsauth/internal/config"
	"wsauth/internal/gateway"
	"wsauth/internal/inspect"
	"wsauth/internal/server"
	"wsauth/token"
	"wsauth/token/jwks"
)

// tokenRules are the flags that determine how a token is verified.
type tokenRules struct {
	Keys     string         `placeholder:"PATH" help:"Folder of keys, or a file: a JWK Set, or one key as .jwk, .pem, .hs256, .hs384 or .hs512."`
	Data     string         `placeholder:"DIR" help:"Data folder of a server whose keys to use."`
	Config   string         `placeholder:"FILE" env:"WSAUTH_CONFIG" help:"Configuration of that server, with its rules and providers; not with --keys, --jwks and --provider."`
	JWKS     string         `name:"jwks" placeholder:"URL" help:"URL of a JWK Set; https, or a loopback address."`
	Provider []providerFlag `sep:"none" placeholder:"PAIRS" help:"Identity provider whose rules and keys to use, as for \"wsauth serve\": preset=PRESET,issuer=URL,audience=NAME."`
	Issuer   string         `placeholder:"URL" help:"Required iss (default: any)."`
	Audience []string       `placeholder:"NAME" help:"Accepted aud; may be repeated (default: it must have no aud)."`
	Typ      string         `placeholder:"TYPE" help:"Required typ header, such as at+jwt (default: none, JWT or at+jwt)."`
	Leeway   time.Duration  `placeholder:"DURATION" help:"Tolerated clock difference: at most 1m (default: none; 5s for iat and nbf of a server's own tokens)."`
}

// areGiven reports whether the flags specify any keys.
func (r tokenRules) areGiven() bool {
	return r.Keys+r.Data+r.Config+r.JWKS != "" || len(r.Provider) > 0
}

// ofServer reports whether the keys are those of a server, whose rules then
// apply.
func (r tokenRules) ofServer() bool { return r.Keys+r.JWKS == "" && len(r.Provider) == 0 }

// A tokenCheck verifies a token and explains why it would be refused.
type tokenCheck struct {
	verifier *token.Verifier
	keys     token.KeySource // nil if a provider has them
	rules    tokenRules
}

// open returns the check of a token. If the iss of the token is that of a
// provider in the configuration, the provider's rules apply.
func (r tokenRules) open(ctx context.Context, raw string) (*tokenCheck, error) {
	if len(r.Provider) > 0 {
		if r.Keys+r.Data+r.JWKS+r.Issuer+r.Typ != "" || len(r.Audience) > 0 || r.Leeway != 0 || len(r.Provider) > 1 {
			return nil, errors.New("--provider has its own keys and rules: use it once, without the other flags")
		}
		// Failures are part of the result.
		all, err := providers(r.Provider, nil)
		if err != nil {
			return nil, err
		}
		return providerCheck(all[0], r.Provider[0].Audience), nil
	}
	var c token.VerifierConfig
	path := r.Keys
	if r.ofServer() {
		settings, err := r.server()
		if err != nil {
			return nil, err
		}
		// Every verifier refuses a token that cannot be parsed.
		iss, _ := token.UnverifiedIssuer(raw)
		for i, p := range settings.described.Tokens.Providers {
			if p.Issuer() == iss {
				return providerCheck(p, settings.audiences[i]), nil
			}
		}
		c, path = settings.described.Tokens.Own(), settings.keys
	}
	var err error
	if c.Keys, err = r.source(path, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		return nil, err
	}
	r.Issuer = cmp.Or(r.Issuer, c.Issuer)
	c.Issuer, c.Audience, c.MediaType, c.Leeway = r.Issuer, r.Audience, r.Typ, r.Leeway
	v, err := token.NewVerifier(c)
	if err != nil {
		return nil, err
	}
	return &tokenCheck{v, c.Keys, r}, ctx.Err()
}

// providerCheck returns the check of a provider's tokens.
func providerCheck(p *idp.Provider, audience []string) *tokenCheck {
	return &tokenCheck{verifier: p.Verifier(), rules: tokenRules{Issuer: p.Issuer(), Audience: audience}}
}

// A tokenServer holds the settings of a server that concern tokens.
type tokenServer struct {
	described gateway.Config // without keys
	audiences []config.OneOrMore
	keys      string // the path of the key folder
}

// server reads the settings of the server that the flags specify.
func (r tokenRules) server() (s tokenServer, err error) {
	if r.Config == "" {
		s.keys, err = keysAt("", r.Data)
		return s, err
	}
	d, err := config.Read(r.Config)
	if err != nil {
		return s, err
	}
	maker := config.Maker{DataDir: server.DefaultDataFolder()}
	if s.described, err = maker.Make(d); err != nil {
		return s, printErrors(r.Config, err)
	}
	for _, p := range d.Settings.Providers {
		s.audiences = append(s.audiences, p.Audience)
	}
	if s.keys = d.Settings.Keys; s.keys == "" || r.Data != "" {
		s.keys, err = keysAt("", cmp.Or(r.Data, os.Getenv("WSAUTH_DATA"), d.Settings.Data))
	}
	return s, err
}

// source returns the keys that the flags specify, or those at path.
func (r tokenRules) source(path string, log *slog.Logger) (token.KeySource, error) {
	if r.JWKS == "" {
		if r.Keys != "" && r.Data != "" {
			return nil, errors.New("--keys and --data: remove one of the two")
		}
		return openKeySource(path, log)
	}
	if r.Keys+r.Data != "" {
		return nil, errors.New("--jwks: leave --keys and --data out")
	}
	keys, err := jwks.New(jwks.Config{URL: r.JWKS})
	if err != nil {
		return nil, inFlags(err, "jwks: Config.URL", "--jwks")
	}
	return keys, nil
}

// mayBeSet reports whether the server may accept more than these flags say,
// because its configuration was not specified.
func (r tokenRules) mayBeSet() bool { return r.ofServer() && r.Config == "" }

// nameConfig is a hint to specify the configuration of the server.
const nameConfig = "if the server's configuration allows this, add --config"

// hint explains a fault with the wrong value and the right one.
func (c *tokenCheck) hint(ctx context.Context, fault error, t inspect.Token) string {
	value := func(name string) string {
		for _, m := range t.Claims {
			if m.Name == name {
				return inspect.Printable(string(m.Value))
			}
		}
		return "missing"
	}
	kid := cmp.Or(inspect.Printable(inspect.Text(t.Header, "kid")), "none")
	switch {
	case errors.Is(fault, token.ErrSignature) && c.keys == nil:
		return fmt.Sprintf("the kid is %s; the provider publishes no such key, or another key made the signature", kid)
	case errors.Is(fault, token.ErrSignature):
		return fmt.Sprintf("the kid is %s; the keys are %s", kid, keyNames(ctx, c.keys))
	case errors.Is(fault, token.ErrAlgorithm) && c.keys != nil:
		return fmt.Sprintf("the alg is %s; the keys are %s", cmp.Or(inspect.Printable(inspect.Text(t.Header, "alg")), "none"), keyNames(ctx, c.keys))
	case c.keys != nil && c.rules.mayBeSet() && strings.Contains(fault.Error(), "integer_subjects"):
		return nameConfig
	case errors.Is(fault, token.ErrExpired):
		return "get a new token; if it is new, compare the clocks of the two machines"
	case errors.Is(fault, token.ErrNotYetValid), errors.Is(fault, token.ErrIssuedInFuture):
		return "compare the clocks of the two machines, or allow a difference with --leeway"
	case errors.Is(fault, token.ErrIssuer):
		return fmt.Sprintf("it is %s; expected %q", value("iss"), c.rules.Issuer)
	case errors.Is(fault, token.ErrAudience) && len(c.rules.Audience) == 0:
		return fmt.Sprintf("it is %s; if that means you, add --audience", value("aud"))
	case errors.Is(fault, token.ErrAudience):
		return fmt.Sprintf("it is %s; expected %s", value("aud"), strings.Join(c.rules.Audience, " or "))
	}
	return ""
}
