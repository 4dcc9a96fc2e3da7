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

	"wsauth/gateway"
	"wsauth/idp"
	"wsauth/internal/inspect"
	"wsauth/token"
	"wsauth/token/remotekeys"
)

// tokenRules are the flags that say what a token is held against.
type tokenRules struct {
	Keys     string         `placeholder:"PATH" help:"Folder of keys, or a file: a JWK Set, or one key as .jwk, .pem, .hs256, .hs384 or .hs512."`
	Data     string         `placeholder:"DIR" help:"Data folder of a server, whose keys to take."`
	JWKS     string         `name:"jwks" placeholder:"URL" help:"Address of a JWK Set; https, or a loopback address."`
	Provider []providerFlag `sep:"none" placeholder:"PAIRS" help:"Identity provider by whose rules and keys to judge, as for \"wsauth serve\": preset=PRESET,issuer=URL,audience=NAME."`
	Issuer   string         `placeholder:"URL" help:"The iss that it must have (default: any)."`
	Audience []string       `placeholder:"NAME" help:"A name of the one for whom it must be; repeat for more (default: it must have no aud)."`
	Typ      string         `placeholder:"TYPE" help:"The typ that its header must have, such as at+jwt (default: none, JWT or at+jwt)."`
	Leeway   time.Duration  `placeholder:"DURATION" help:"How far the clocks may disagree: at most 1m (default: none; iat and nbf of a server's own tokens: 5s)."`
}

// given reports whether the flags name any keys.
func (r tokenRules) given() bool { return r.Keys+r.Data+r.JWKS != "" || len(r.Provider) > 0 }

// ofServer reports whether the keys are those of a server, whose rules then
// judge the tokens.
func (r tokenRules) ofServer() bool { return r.Keys+r.JWKS == "" && len(r.Provider) == 0 }

// A judge knows why a token would be refused.
type judge struct {
	verifier *token.Verifier
	keys     token.KeySource // nil where a provider has them
	rules    tokenRules
}

// open makes the judge of the flags.
func (r tokenRules) open(ctx context.Context) (*judge, error) {
	if len(r.Provider) > 0 {
		if r.Keys+r.Data+r.JWKS+r.Issuer+r.Typ != "" || len(r.Audience) > 0 || r.Leeway != 0 || len(r.Provider) > 1 {
			return nil, errors.New("--provider brings its own keys and rules: give it alone, and once")
		}
		all, err := providers(r.Provider, nil) // whatever fails is in the answer
		if err != nil {
			return nil, err
		}
		p := all[0]
		return &judge{verifier: p.Verifier(), rules: tokenRules{Issuer: p.Issuer(), Audience: idp.Config(r.Provider[0]).Audience}}, nil
	}
	keys, err := r.source(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return nil, err
	}
	c := token.VerifierConfig{Keys: keys, Issuer: r.Issuer}
	if r.ofServer() {
		c = gateway.OwnTokens(keys, r.Issuer)
	}
	c.Audience, c.MediaType, c.Leeway = r.Audience, r.Typ, r.Leeway
	v, err := token.NewVerifier(c)
	if err != nil {
		return nil, err
	}
	return &judge{v, keys, r}, ctx.Err()
}

// source are the keys of the flags: by default those of the server.
func (r tokenRules) source(log *slog.Logger) (token.KeySource, error) {
	if r.JWKS == "" {
		path, err := keysAt(r.Keys, r.Data)
		if err != nil {
			return nil, err
		}
		return openKeySource(path, log)
	}
	if r.Keys+r.Data != "" {
		return nil, errors.New("--jwks: leave --keys and --data out")
	}
	return remotekeys.New(remotekeys.Config{URL: r.JWKS})
}

// hint says what stands behind a fault: the value that is wrong, and the one that would not be.
func (j *judge) hint(ctx context.Context, fault error, t inspect.Token) string {
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
	case errors.Is(fault, token.ErrSignature) && j.keys == nil:
		return fmt.Sprintf("the kid is %s; the provider publishes no such key, or another made this signature", kid)
	case errors.Is(fault, token.ErrSignature):
		return fmt.Sprintf("the kid is %s; the keys are %s", kid, keyNames(ctx, j.keys))
	case errors.Is(fault, token.ErrAlgorithm) && j.keys != nil:
		return fmt.Sprintf("the alg is %s; the keys are %s", cmp.Or(inspect.Printable(inspect.Text(t.Header, "alg")), "none"), keyNames(ctx, j.keys))
	case errors.Is(fault, token.ErrExpired):
		return "get a new token; if it is new, compare the clocks of the two machines"
	case errors.Is(fault, token.ErrNotYetValid), errors.Is(fault, token.ErrIssuedInFuture):
		return "compare the clocks of the two machines, or allow a difference with --leeway"
	case errors.Is(fault, token.ErrIssuer):
		return fmt.Sprintf("it is %s; expected %q", value("iss"), j.rules.Issuer)
	case errors.Is(fault, token.ErrAudience) && len(j.rules.Audience) == 0:
		return fmt.Sprintf("it is %s; if that is you, say so with --audience", value("aud"))
	case errors.Is(fault, token.ErrAudience):
		return fmt.Sprintf("it is %s; expected %s", value("aud"), strings.Join(j.rules.Audience, " or "))
	}
	return ""
}
