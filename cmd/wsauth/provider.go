package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"wsauth/idp"
)

// A providerFlag is one --provider: "issuer=…,audience=…" and more.
type providerFlag idp.Config

// UnmarshalText reads name=value pairs with commas between them. audience and client-id may stand more than once.
func (p *providerFlag) UnmarshalText(text []byte) error {
	once := map[string]*string{"issuer": &p.Issuer, "namespace": &p.Namespace, "keys": &p.KeysURL, "typ": &p.MediaType, "preset": (*string)(&p.Preset)}
	often := map[string]*[]string{"audience": &p.Audience, "client-id": &p.ClientIDs}
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case value == "":
			return fmt.Errorf("%q is not NAME=VALUE", pair)
		case often[name] != nil:
			*often[name] = append(*often[name], value)
		case once[name] == nil:
			return fmt.Errorf("%q is unknown: there are preset, issuer, audience, client-id, namespace, typ and keys", name)
		case *once[name] != "":
			return fmt.Errorf("%s stands twice", name)
		default:
			*once[name] = value
		}
	}
	if p.Preset == "" {
		p.Preset = idp.Standard
	}
	if p.Namespace == "" {
		p.Namespace = string(p.Preset)
	}
	return nil
}

// providers makes the providers of the flags.
func providers(flags []providerFlag, log *slog.Logger) ([]*idp.Provider, error) {
	var all []*idp.Provider
	for _, flag := range flags {
		config := idp.Config(flag)
		config.Logger = log
		if strings.Contains(config.Issuer+config.KeysURL, "@") { // which may be a password, not to be shown
			return nil, errors.New("--provider: issuer and keys must be without a user and a password")
		}
		p, err := idp.New(config)
		if err != nil {
			return nil, fmt.Errorf("--provider: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}
