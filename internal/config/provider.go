package config

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"wsauth/idp"
	"wsauth/token"
)

// providerKeys maps the fields of idp.Config to keys.
var providerKeys = map[string]string{
	"Preset":    "preset",
	"Issuer":    "issuer",
	"Audience":  "audience",
	"ClientIDs": "client_id",
	"Namespace": "namespace",
	"KeysURL":   "keys",
	"URL":       "keys",
	"MediaType": "typ",

	"EventIssuer":             "event_issuer",
	"AuthorizedParties":       "authorized_parties",
	"HostedDomains":           "hosted_domain",
	"InsecureAuthorizedParty": "insecure_authorized_party",
	"IgnoredAudiences":        "ignored_audiences",
	"Subject":                 "subject",
	"IntegerSubjects":         "integer_subjects",
	"Roles":                   "roles",
	"RoleKeys":                "role_keys",
	"Algorithms":              "algorithms",
	"MaxLifetime":             "max_lifetime",
	"MaxTokenBytes":           "max_token",
	"InsecureHTTP":            "insecure_http",
	"Proxy":                   "proxy",
}

// namedFault matches a line of an error of idp.New: the name of a field and
// the fault.
var namedFault = regexp.MustCompile(`^(?:[a-z]+: )*(?:Config\.)?([A-Z][A-Za-z]*)(?:\[\d+\])?: (.*)$`)

// providers builds the providers and checks that they do not conflict.
func (b *build) providers() (all []*idp.Provider) {
	issuers, spaces := map[string]bool{b.Settings.Issuer: true}, map[string]bool{}
	for i, p := range b.Settings.Providers {
		key := fmt.Sprintf("providers[%d]", i)
		if b.hasUserInfo(key+".issuer", p.Issuer) || b.hasUserInfo(key+".keys", p.Keys) ||
			b.hasUserInfo(key+".event_issuer", p.EventIssuer) || b.hasUserInfo(key+".proxy", p.Proxy) {
			continue
		}
		c := p.config()
		c.Logger = b.maker.Logger
		made, err := idp.New(c)
		if err != nil {
			b.providerFaults(key, err)
			continue
		}
		if issuers[c.Issuer] {
			b.report(key+".issuer", "another provider, or this server, has the same issuer")
		}
		if spaces[c.Namespace] {
			b.report(key+".namespace", "another provider has the namespace %s: users of both could have the same name; choose another", c.Namespace)
		}
		issuers[c.Issuer], spaces[c.Namespace] = true, true
		all = append(all, made)
	}
	return all
}

// config returns the configuration for idp.New.
func (p Provider) config() idp.Config {
	if p.Namespace == "" {
		p.Namespace = p.Preset
	}
	c := idp.Config{
		Preset:    idp.Preset(p.Preset),
		Issuer:    p.Issuer,
		Audience:  p.Audience,
		ClientIDs: p.ClientID,
		Namespace: p.Namespace,
		KeysURL:   p.Keys,
		MediaType: p.Typ,

		EventIssuer:             p.EventIssuer,
		AuthorizedParties:       p.AuthorizedParties,
		HostedDomains:           p.HostedDomain,
		InsecureAuthorizedParty: p.InsecureAuthorizedParty,
		IgnoredAudiences:        p.IgnoredAudiences,
		Subject:                 p.Subject,
		IntegerSubjects:         p.IntegerSubjects,
		Roles:                   p.Roles,
		RoleKeys:                p.RoleKeys,
		MaxLifetime:             p.MaxLifetime,
		MaxTokenBytes:           int(min(p.MaxToken, math.MaxInt32)),
		InsecureHTTP:            p.InsecureHTTP,
		Proxy:                   p.Proxy,
	}
	for _, a := range p.Algorithms {
		c.Algorithms = append(c.Algorithms, token.Algorithm(a))
	}
	return c
}

// hasUserInfo reports a URL that may contain a password, before it is used in
// another message.
func (b *build) hasUserInfo(key, url string) bool {
	if strings.Contains(url, "@") {
		b.report(key, "must not contain a user or a password")
		return true
	}
	return false
}

// checkOriginUserInfo calls hasUserInfo for each of a list of origins.
func (b *build) checkOriginUserInfo(key string, origins []string) {
	for i, o := range origins {
		b.hasUserInfo(fmt.Sprintf("%s[%d]", key, i), o)
	}
}

// ProviderFaults replaces the fields in an error of idp.New by the keys of a
// file. It returns one line per fault, such as "issuer: required".
func ProviderFaults(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if found := namedFault.FindStringSubmatch(line); found != nil && providerKeys[found[1]] != "" {
			line = providerKeys[found[1]] + ": " + found[2]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// providerFaults reports an error of idp.New, which has one line per field.
func (b *build) providerFaults(key string, err error) {
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if found := namedFault.FindStringSubmatch(line); found != nil && providerKeys[found[1]] != "" {
			b.report(key+"."+providerKeys[found[1]], "%s", found[2])
			continue
		}
		b.report(key, "%s", line)
	}
}
