package idp

import (
	"cmp"
	"context"
	"errors"
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
	"wsauth/token/remotekeys"
)

// Config says which provider to trust, and with what. Issuer and Audience are
// required.
type Config struct {
	// Preset is the product. Default: [Standard].
	Preset Preset

	// Issuer is the iss of its tokens, exactly, such as
	// "https://id.example/realms/app". Its keys are found through its
	// discovery document (OpenID Connect Discovery 1.0 §4).
	Issuer string

	// Audience holds our names at the provider: a token is for one of them.
	Audience []string

	// AuthorizedParties are the clients that may have asked for a token, by
	// its azp, if it has one. Default: any; of Google, Audience and ClientIDs.
	AuthorizedParties []string

	// HostedDomains are the organizations at Google, by their domains, one of
	// which the user must belong to (hd). Default: any, and accounts of no
	// organization.
	HostedDomains []string

	// InsecureAuthorizedParty are clients whose tokens are accepted where aud
	// is absent or all in IgnoredAudiences. It is insecure because azp says
	// who asked for a token, not for whom; see token.VerifierConfig. With it
	// Audience may be empty.
	InsecureAuthorizedParty []string

	// IgnoredAudiences are values of aud that every token of the provider has
	// and that name nobody, such as "account" of Keycloak.
	IgnoredAudiences []string

	// ClientIDs are the aud of logout tokens and events. Default: Audience,
	// or else InsecureAuthorizedParty.
	ClientIDs []string

	// EventIssuer is the iss of events, exactly, where it is another than that
	// of tokens: RISC transmitters often add a slash. Default: that of the
	// preset, else Issuer.
	EventIssuer string

	// Namespace is put before the names of users and sessions; see
	// token.VerifierConfig. Required where several issuers are trusted.
	Namespace string

	// KeysURL is where the keys are, for a provider without discovery.
	KeysURL string

	// Keys replaces what is fetched.
	Keys token.KeySource

	// Profile and MediaType replace those of the preset: see
	// token.VerifierConfig. A MediaType of "JWT" is one of no typ too. Where
	// the access tokens of the preset name no session, a Profile without
	// SessionID says that this is still so.
	Profile   *token.Profile
	MediaType string

	// Subject is the claim that names the user, by its name or a JSON
	// Pointer, where it is not that of the preset or the Profile. It must be
	// one that users cannot choose; see token.Profile.
	Subject string

	// IntegerSubjects accepts a subject that is an integer; see
	// token.VerifierConfig.
	IntegerSubjects bool

	// Roles is the claim of the roles, by its name or a JSON Pointer, where
	// it is not that of the preset or the Profile. RoleKeys takes the names
	// of its members as roles where it is an object; see token.Profile.
	Roles    string
	RoleKeys bool

	// Algorithms replaces those of the preset. Default: every asymmetric
	// one, each for its own keys only. RSA keys that are published without
	// alg are for the RSA algorithms that are named here or by the preset,
	// and for RS256 if there are none.
	Algorithms []token.Algorithm

	// Leeway is how far the clocks may disagree. A negative one is none, at
	// most 60 s. Default: 30 s.
	Leeway time.Duration

	// MaxLifetime is the longest life of an access token, from its iat to
	// its exp, and so how long a logout is remembered: at most 366 days.
	// Default: that of the preset, mostly a day.
	MaxLifetime time.Duration

	// MaxTokenBytes is the longest token that is looked at, from 1 KiB to
	// 32 KiB. Default: 8 KiB.
	MaxTokenBytes int

	// InsecureHTTP accepts an Issuer and a KeysURL that begin with http on
	// another machine than this one. Whoever is on the way can replace the
	// keys, and so let anybody in.
	InsecureHTTP bool

	// Proxy is the URL of the HTTP proxy through which the keys are fetched;
	// see remotekeys. Default: none, whatever the environment says.
	Proxy string

	// Transport fetches the keys. Default: direct, with limits; see
	// remotekeys.
	Transport http.RoundTripper

	// Logger is told of keys that cannot be fetched. Default: none.
	Logger *slog.Logger
}

const (
	defaultLeeway = 30 * time.Second
	maxLifetime   = 366 * day

	// DefaultMaxTokenBytes is the default of Config.MaxTokenBytes.
	DefaultMaxTokenBytes = 8 << 10

	// LimitMaxTokenBytes is the most that Config.MaxTokenBytes may be.
	LimitMaxTokenBytes = 32 << 10

	minMaxTokenBytes = 1 << 10
)

// asymmetric are the algorithms of published keys.
var asymmetric = []token.Algorithm{
	token.RS256, token.RS384, token.RS512, token.PS256, token.PS384, token.PS512, token.ES256, token.ES384, token.ES512, token.EdDSA, token.Ed25519,
}

// A Provider is an identity provider that is trusted. It is safe for concurrent
// use.
type Provider struct {
	issuer        string
	eventIssuer   string
	namespace     string
	clientIDs     []string
	subject       string // the claim that names the user
	integers      bool   // which may be an integer
	sessionless   bool
	unsure        bool
	remembered    time.Duration // how long a revocation matters
	maxTokenBytes int
	keys          token.KeySource
	verifier      *token.Verifier
}

// New reports every fault of the configuration at once, joined, each beginning
// with the name of its field. It fetches nothing: [Provider.Run] does, or the
// first token.
func New(c Config) (*Provider, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("idp: Config."+format, args...)) }

	shape, known := presets[cmp.Or(c.Preset, Standard)]
	if !known {
		fault("Preset: %q is none of %q", c.Preset, Presets())
	}
	if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		fault("Issuer: required: the https URL that its tokens have as iss")
	} else if u.Scheme == "http" && !c.InsecureHTTP && !httpx.IsLoopback(u.Hostname()) {
		fault("Issuer: required: the https URL that its tokens have as iss; insecure_http allows http, which an attacker on the way can change")
	} else if shape.issuer != nil {
		if err := shape.issuer(u); err != nil {
			fault("Issuer: %q %w", c.Issuer, err)
		}
	}
	if len(c.Audience) == 0 && len(c.InsecureAuthorizedParty) == 0 {
		fault("Audience: required: a token that is not meant for us lets nobody in")
	}
	if c.MaxTokenBytes != 0 && (c.MaxTokenBytes < minMaxTokenBytes || c.MaxTokenBytes > LimitMaxTokenBytes) {
		fault("MaxTokenBytes: must be from %d to %d", minMaxTokenBytes, LimitMaxTokenBytes)
	}
	if c.MaxLifetime < 0 || c.MaxLifetime > maxLifetime {
		fault("MaxLifetime: must be at most 366 days")
	}
	p := &Provider{
		issuer:      c.Issuer,
		eventIssuer: cmp.Or(c.EventIssuer, shape.eventIssuer[c.Issuer], c.Issuer),
		namespace:   c.Namespace,
		clientIDs:   slices.Concat(c.ClientIDs),
		sessionless: shape.sessionless,
		unsure:      shape.unsure,
		integers:    c.IntegerSubjects,
		keys:        c.Keys,

		maxTokenBytes: cmp.Or(c.MaxTokenBytes, DefaultMaxTokenBytes),
	}
	if len(p.clientIDs) == 0 {
		p.clientIDs = slices.Clone(c.Audience)
	}
	if len(p.clientIDs) == 0 {
		p.clientIDs = slices.Clone(c.InsecureAuthorizedParty)
	}
	profile := shape.profile
	if c.Profile != nil {
		profile = *c.Profile
		p.sessionless = p.sessionless && c.Profile.SessionID == ""
		p.unsure = p.unsure && c.Profile.SessionID == ""
	}
	if profile.Subject = cmp.Or(c.Subject, profile.Subject); strings.HasPrefix(c.Subject, "/") && !jsontext.Pointer(c.Subject).IsValid() {
		fault("Subject: %q is no JSON Pointer", c.Subject)
	}
	if profile.Roles = cmp.Or(c.Roles, profile.Roles); strings.HasPrefix(c.Roles, "/") && !jsontext.Pointer(c.Roles).IsValid() {
		fault("Roles: %q is no JSON Pointer", c.Roles)
	}
	if profile.RoleKeys = profile.RoleKeys || c.RoleKeys; c.RoleKeys && profile.Roles == "" {
		fault("RoleKeys: there are no roles whose names it could be")
	}
	// Without an iat nobody knows how long a token has lived, and so how long its revocation matters.
	profile.Require = maps.Clone(profile.Require)
	if profile.Require == nil {
		profile.Require = map[string][]string{}
	}
	if _, there := profile.Require["iat"]; !there {
		profile.Require["iat"] = nil
	}
	if len(c.HostedDomains) > 0 {
		if slices.Contains(c.HostedDomains, "") {
			fault("HostedDomains: one is empty")
		}
		profile.Require["hd"] = c.HostedDomains
	}
	requesters := c.AuthorizedParties
	if len(requesters) == 0 && shape.anyoneAsks {
		requesters = slices.Concat(c.Audience, c.ClientIDs)
	}
	p.subject = cmp.Or(profile.Subject, "sub")
	leeway := max(0, cmp.Or(c.Leeway, defaultLeeway))
	life := cmp.Or(c.MaxLifetime, shape.maxLifetime)
	p.remembered = life + leeway + maxStatementAge
	named := slices.Clone(c.Algorithms)
	if len(named) == 0 {
		named = shape.algorithms
	}
	for _, a := range named {
		if !slices.Contains(asymmetric, a) {
			fault("Algorithms: %q is none of %q", a, asymmetric)
		}
	}
	algorithms := named
	if len(algorithms) == 0 {
		algorithms = asymmetric
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if p.keys == nil {
		keys, err := remotekeys.New(remotekeys.Config{
			Issuer: c.Issuer, URL: c.KeysURL, Algorithms: named, InsecureHTTP: c.InsecureHTTP, Proxy: c.Proxy, Transport: c.Transport, Logger: c.Logger,
		})
		if err != nil {
			return nil, fmt.Errorf("idp: %w", err)
		}
		p.keys = keys
	}
	mediaType := cmp.Or(c.MediaType, shape.mediaType)
	if mediaType == "JWT" {
		mediaType = "" // the verifier's word for it
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{
		Keys: p.keys, Algorithms: algorithms, Issuer: c.Issuer, Audience: c.Audience, MediaType: mediaType, Profile: &profile,
		Namespace: c.Namespace, Leeway: leeway, MaxLifetime: life, MaxBytes: p.maxTokenBytes,
		IntegerSubjects: c.IntegerSubjects, AuthorizedParties: requesters, InsecureAuthorizedParty: c.InsecureAuthorizedParty, IgnoredAudiences: c.IgnoredAudiences,
	})
	if err != nil {
		return nil, fmt.Errorf("idp: Config.%w", err)
	}
	p.verifier = verifier
	return p, nil
}

// Warnings returns what c allows that is dangerous: one line each, which
// begins with the name of its field.
func (c Config) Warnings() []string {
	var all []string
	if c.InsecureHTTP {
		all = append(all, fmt.Sprintf("InsecureHTTP: an attacker on the way to %s can replace its keys, and so log in as anybody", c.Issuer))
	}
	if len(c.InsecureAuthorizedParty) > 0 {
		all = append(all, fmt.Sprintf("InsecureAuthorizedParty: every server to which %s sends its tokens can use them here", strings.Join(c.InsecureAuthorizedParty, " or ")))
	}
	return all
}

// Issuer is the iss of the provider.
func (p *Provider) Issuer() string { return p.issuer }

// MaxTokenBytes returns the length of the longest token that is looked at.
func (p *Provider) MaxTokenBytes() int { return p.maxTokenBytes }

// Verifier verifies its access tokens.
func (p *Provider) Verifier() *token.Verifier { return p.verifier }

// Run keeps the keys up to date until ctx is done, and returns its error.
// Without it they are fetched when a token needs one that is not there, and a
// key that the provider takes back stays good.
func (p *Provider) Run(ctx context.Context) error {
	if r, ok := p.keys.(interface{ Run(context.Context) error }); ok {
		return r.Run(ctx)
	}
	<-ctx.Done()
	return ctx.Err()
}
