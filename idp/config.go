package idp

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth/internal/httpx"
	"wsauth/token"
)

// Config configures a [Provider]. Issuer and Audience are required.
type Config struct {
	// Preset is the product. Default: [Standard].
	Preset Preset

	// Issuer is the exact iss of the provider's tokens, such as
	// "https://id.example/realms/app". The keys are found through its discovery
	// document (OpenID Connect Discovery 1.0 section 4).
	Issuer string

	// Audience holds the names of this server at the provider. The aud of a
	// token must contain one of them.
	Audience []string

	// AuthorizedParties lists the clients that may request tokens. If a token
	// has an azp, it must be one of them. Default: any client; for Google,
	// those in Audience and ClientIDs.
	AuthorizedParties []string

	// HostedDomains lists the domains of organizations at Google. A user must
	// belong to one of them (claim hd). Default: all organizations, and
	// accounts without one.
	HostedDomains []string

	// InsecureAuthorizedParty lists clients whose tokens are accepted if aud is
	// absent or all its values are in IgnoredAudiences. It is insecure because
	// azp names the client that requested a token, not the server that the
	// token is for; see token.VerifierConfig. If it is set, Audience may be
	// empty.
	InsecureAuthorizedParty []string

	// IgnoredAudiences lists values of aud that every token of the provider
	// has and that name no server, such as "account" in Keycloak.
	IgnoredAudiences []string

	// ClientIDs are the accepted values of aud in logout tokens and events.
	// Default: Audience, or InsecureAuthorizedParty if that is empty.
	ClientIDs []string

	// EventIssuer is the exact iss of events, if it differs from that of
	// tokens: RISC transmitters often add a slash. Default: the value of the
	// preset, or Issuer if it has none.
	EventIssuer string

	// Namespace is a prefix for the names of users and sessions; see
	// token.VerifierConfig. Required if several issuers are trusted.
	Namespace string

	// KeysURL is the URL of the JWK Set, for a provider without discovery.
	KeysURL string

	// Keys provides the keys. Default: they are fetched.
	Keys token.KeySource

	// Profile and MediaType replace those of the preset; see
	// token.VerifierConfig. The MediaType "JWT" also accepts tokens without
	// typ. If your access tokens name the session but those of the preset do
	// not, set the SessionID of the Profile.
	Profile   *token.Profile
	MediaType string

	// Subject is the claim that names the user, given by its name or a JSON
	// Pointer, if it differs from that of the preset or the Profile. Users
	// must not be able to choose its value; see token.Profile.
	Subject string

	// IntegerSubjects accepts integers as subjects; see token.VerifierConfig.
	IntegerSubjects bool

	// Roles is the claim with the roles, given by its name or a JSON Pointer,
	// if it differs from that of the preset or the Profile. If RoleKeys is set
	// and the claim is an object, the roles are the names of its members; see
	// token.Profile.
	Roles    string
	RoleKeys bool

	// Algorithms replaces those of the preset. Default: all asymmetric
	// algorithms, each for its own keys only. RSA keys that are published
	// without alg are used for the RSA algorithms in this list or in that of
	// the preset. If neither lists any, they are used for RS256.
	Algorithms []token.Algorithm

	// Leeway is the tolerated clock difference, at most 60 s. Negative: none.
	// Default: 30 s.
	Leeway time.Duration

	// MaxLifetime is the maximum lifetime of an access token, from iat to exp.
	// It determines how long a logout is remembered. At most 366 days. Default:
	// the value of the preset, usually a day.
	MaxLifetime time.Duration

	// MaxTokenBytes is the maximum length of a token, from 1 KiB to 32 KiB.
	// Default: 8 KiB.
	MaxTokenBytes int

	// InsecureHTTP allows an Issuer and a KeysURL with http that are not on
	// loopback. An attacker on the network can then replace the keys and log in
	// as any user.
	InsecureHTTP bool

	// Proxy is the URL of the HTTP proxy for fetching the keys; see
	// jwks.Config. Default: none, whatever the environment says.
	Proxy string

	// Transport is used to fetch the keys. Default: direct connections, with
	// limits; see jwks.Config.
	Transport http.RoundTripper

	// Logger logs failures to fetch the keys. Default: no log.
	Logger *slog.Logger
}

const (
	defaultLeeway = 30 * time.Second
	maxLifetime   = 366 * day

	// DefaultMaxTokenBytes is the default of Config.MaxTokenBytes.
	DefaultMaxTokenBytes = 8 << 10

	// LimitMaxTokenBytes is the maximum of Config.MaxTokenBytes.
	LimitMaxTokenBytes = 32 << 10

	minMaxTokenBytes = 1 << 10
)

// asymmetric lists the algorithms of published keys.
var asymmetric = []token.Algorithm{
	token.RS256, token.RS384, token.RS512, token.PS256, token.PS384, token.PS512, token.ES256, token.ES384, token.ES512, token.EdDSA, token.Ed25519,
}

// faults collects the errors in a Config.
type faults []error

// add adds a fault, which begins with the name of its field.
func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("idp: Config."+format, args...))
}

// check checks the fields that concern neither claims nor algorithms.
func (c Config) check(preset presetSettings, f *faults) {
	if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		f.add("Issuer: required: the https URL that its tokens have as iss")
	} else if u.Scheme == "http" && !c.InsecureHTTP && !httpx.IsLoopback(u.Hostname()) {
		f.add("Issuer: required: the https URL that its tokens have as iss; insecure_http allows http, which attackers on the network can change")
	} else if preset.issuer != nil {
		if err := preset.issuer(u); err != nil {
			f.add("Issuer: %q %w", c.Issuer, err)
		}
	}
	if len(c.Audience) == 0 && len(c.InsecureAuthorizedParty) == 0 {
		f.add("Audience: required: tokens for other audiences are refused")
	}
	if c.MaxTokenBytes != 0 && (c.MaxTokenBytes < minMaxTokenBytes || c.MaxTokenBytes > LimitMaxTokenBytes) {
		f.add("MaxTokenBytes: must be from %d to %d", minMaxTokenBytes, LimitMaxTokenBytes)
	}
	if c.MaxLifetime < 0 || c.MaxLifetime > maxLifetime {
		f.add("MaxLifetime: must be at most 366 days")
	}
}

// profile returns the profile of access tokens: that of c or, by default, that
// of the preset. Settings of c that concern single claims take precedence.
func (c Config) profile(preset presetSettings, f *faults) token.Profile {
	profile := preset.profile
	if c.Profile != nil {
		profile = *c.Profile
	}
	if profile.Subject = cmp.Or(c.Subject, profile.Subject); strings.HasPrefix(c.Subject, "/") && !jsontext.Pointer(c.Subject).IsValid() {
		f.add("Subject: %q is not a JSON Pointer", c.Subject)
	}
	if profile.Roles = cmp.Or(c.Roles, profile.Roles); strings.HasPrefix(c.Roles, "/") && !jsontext.Pointer(c.Roles).IsValid() {
		f.add("Roles: %q is not a JSON Pointer", c.Roles)
	}
	if profile.RoleKeys = profile.RoleKeys || c.RoleKeys; c.RoleKeys && profile.Roles == "" {
		f.add("RoleKeys: there is no claim with roles")
	}
	// Require iat: without it, the age of a token is unknown, and it is also
	// unknown how long its revocation must be kept.
	profile.Require = maps.Clone(profile.Require)
	if profile.Require == nil {
		profile.Require = map[string][]string{}
	}
	if _, there := profile.Require["iat"]; !there {
		profile.Require["iat"] = nil
	}
	if len(c.HostedDomains) > 0 {
		if slices.Contains(c.HostedDomains, "") {
			f.add("HostedDomains: one is empty")
		}
		profile.Require["hd"] = c.HostedDomains
	}
	return profile
}

// algorithms returns the algorithms that c lists or, by default, the preset. It
// returns none if neither lists any.
func (c Config) algorithms(preset presetSettings, f *faults) []token.Algorithm {
	if len(c.Algorithms) == 0 {
		return preset.algorithms
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(asymmetric, a) {
			f.add("Algorithms: %q is not one of %q", a, asymmetric)
		}
	}
	return slices.Clone(c.Algorithms)
}

// Warnings describes the dangerous settings of c, one line each, beginning
// with the name of the field.
func (c Config) Warnings() []string {
	var all []string
	if c.InsecureHTTP {
		all = append(all, fmt.Sprintf("InsecureHTTP: attackers on the network can replace the keys of %s, and so log in as anybody", c.Issuer))
	}
	if len(c.InsecureAuthorizedParty) > 0 {
		all = append(all, fmt.Sprintf("InsecureAuthorizedParty: every server to which %s sends its tokens can use them here", strings.Join(c.InsecureAuthorizedParty, " or ")))
	}
	return all
}
