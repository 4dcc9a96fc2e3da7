package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"wsauth/idp"
	"wsauth/internal/config"
	"wsauth/token"
)

// A providerFlag is the value of --provider: "issuer=…,audience=…" and more.
type providerFlag idp.Config

// UnmarshalText parses name=value pairs, separated by commas. Names of lists
// may be repeated.
func (p *providerFlag) UnmarshalText(text []byte) error {
	given := map[string]bool{}
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, _ := strings.Cut(pair, "=")
		field, known := providerFields[name]
		switch {
		case value == "":
			return fmt.Errorf("%q is not NAME=VALUE", pair)
		case !known:
			return fmt.Errorf("%q is unknown: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(providerFields)), ", "))
		case given[name] && !field.list:
			return fmt.Errorf("%s is set twice", name)
		}
		given[name] = true
		if err := field.set(p, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
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

// A providerField is a name in --provider.
type providerField struct {
	set  func(p *providerFlag, value string) error
	list bool // may be repeated
}

// providerFields maps the names in --provider to fields. They are the keys of
// providers in a configuration, with hyphens.
var providerFields = map[string]providerField{
	"preset":       oneValue(func(p *providerFlag) *string { return (*string)(&p.Preset) }),
	"issuer":       oneValue(func(p *providerFlag) *string { return &p.Issuer }),
	"audience":     manyValues(func(p *providerFlag) *[]string { return &p.Audience }),
	"client-id":    manyValues(func(p *providerFlag) *[]string { return &p.ClientIDs }),
	"namespace":    oneValue(func(p *providerFlag) *string { return &p.Namespace }),
	"typ":          oneValue(func(p *providerFlag) *string { return &p.MediaType }),
	"keys":         oneValue(func(p *providerFlag) *string { return &p.KeysURL }),
	"event-issuer": oneValue(func(p *providerFlag) *string { return &p.EventIssuer }),
	"subject":      oneValue(func(p *providerFlag) *string { return &p.Subject }),
	"roles":        oneValue(func(p *providerFlag) *string { return &p.Roles }),
	"proxy":        oneValue(func(p *providerFlag) *string { return &p.Proxy }),

	"authorized-parties":        manyValues(func(p *providerFlag) *[]string { return &p.AuthorizedParties }),
	"hosted-domain":             manyValues(func(p *providerFlag) *[]string { return &p.HostedDomains }),
	"ignored-audiences":         manyValues(func(p *providerFlag) *[]string { return &p.IgnoredAudiences }),
	"insecure-authorized-party": manyValues(func(p *providerFlag) *[]string { return &p.InsecureAuthorizedParty }),

	"integer-subjects": boolean(func(p *providerFlag) *bool { return &p.IntegerSubjects }),

	"role-keys":     boolean(func(p *providerFlag) *bool { return &p.RoleKeys }),
	"insecure-http": boolean(func(p *providerFlag) *bool { return &p.InsecureHTTP }),

	"algorithms": {list: true, set: func(p *providerFlag, value string) error {
		p.Algorithms = append(p.Algorithms, token.Algorithm(value))
		return nil
	}},
	"max-lifetime": {set: func(p *providerFlag, value string) (err error) {
		p.MaxLifetime, err = config.ParseDuration(value)
		return err
	}},
	"max-token": {set: func(p *providerFlag, value string) error {
		size, err := config.ParseSize(value)
		p.MaxTokenBytes = int(min(size, math.MaxInt32))
		return err
	}},
}

func oneValue(field func(*providerFlag) *string) providerField {
	return providerField{set: func(p *providerFlag, value string) error {
		*field(p) = value
		return nil
	}}
}

func manyValues(field func(*providerFlag) *[]string) providerField {
	return providerField{list: true, set: func(p *providerFlag, value string) error {
		*field(p) = append(*field(p), value)
		return nil
	}}
}

func boolean(field func(*providerFlag) *bool) providerField {
	return providerField{set: func(p *providerFlag, value string) (err error) {
		*field(p), err = strconv.ParseBool(value)
		return err
	}}
}

// providers returns the providers of the flags.
func providers(flags []providerFlag, log *slog.Logger) ([]*idp.Provider, error) {
	var all []*idp.Provider
	for _, flag := range flags {
		trusted := idp.Config(flag)
		trusted.Logger = log
		// It may contain a password, which must not be shown.
		if strings.Contains(trusted.Issuer+trusted.KeysURL+trusted.EventIssuer+trusted.Proxy, "@") {
			return nil, errors.New("--provider: issuer, event-issuer, keys and proxy must not contain a user or a password")
		}
		p, err := idp.New(trusted)
		if err != nil {
			return nil, inProviderFlag(err)
		}
		for _, w := range trusted.Warnings() {
			if log != nil {
				log.Warn("insecure", "setting", "--provider: "+w)
			}
		}
		all = append(all, p)
	}
	return all, nil
}

// inProviderFlag replaces the keys in the errors of a provider by the names of
// the flag.
func inProviderFlag(err error) error {
	var all []error
	for line := range strings.SplitSeq(config.ProviderFaults(err), "\n") {
		key, rest, found := strings.Cut(line, ": ")
		if name := strings.ReplaceAll(key, "_", "-"); found && providerFields[name].set != nil {
			line = name + ": " + rest
		}
		all = append(all, errors.New("--provider: "+line))
	}
	return errors.Join(all...)
}
