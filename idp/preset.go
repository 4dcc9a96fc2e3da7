package idp

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"wsauth/internal/httpx"
	"wsauth/token"
)

// A Preset is what one product documents of its access tokens.
type Preset string

// The presets. Each names the page that says what its tokens hold.
const (
	// Standard is any provider whose access tokens are those of RFC 9068:
	// their typ is at+jwt. They may name no session, so that a logout ends
	// every session of the user; a Profile with a SessionID says that they do.
	Standard Preset = "standard"

	// Keycloak: the claim typ is Bearer; the roles are those of the realm.
	// The audience must be added to its tokens with an audience mapper.
	// https://www.keycloak.org/docs/latest/server_admin/
	Keycloak Preset = "keycloak"

	// Auth0: the issuer ends with a slash, the audience is the identifier of
	// an API, the roles are its permissions. Access tokens name no session,
	// so that a logout ends every session of the user.
	// https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
	Auth0 Preset = "auth0"

	// Cognito: the claim token_use is access. There is no aud: the audience
	// is the ID of the app client. A session is named by origin_jti.
	// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
	Cognito Preset = "cognito"

	// Okta: tokens of a custom authorization server, with the claim cid.
	// https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/
	Okta Preset = "okta"

	// Entra: version 2.0 tokens of one tenant, with the claim azp. The roles
	// are app roles. Access tokens name a session only where the app asks for
	// the optional claim sid, so that a logout ends every session of the user;
	// a Profile with a SessionID says that they do.
	// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
	Entra Preset = "entra"

	// Google: its access tokens are no JWTs, so these are ID tokens, and the
	// audience is the ID of the client that asked for them. Every service
	// account at Google can get one for any audience, so azp must be a client
	// of ours, too. The iss of its events ends with a slash.
	// https://cloud.google.com/docs/authentication/get-id-token
	// https://developers.google.com/identity/protocols/risc
	// https://developers.google.com/identity/openid-connect/openid-connect
	Google Preset = "google"
)

// Presets are all that there are, sorted.
func Presets() []Preset {
	var all []Preset
	for p := range presets {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// A shape is what a preset stands for.
type shape struct {
	issuer      func(*url.URL) error
	profile     token.Profile
	mediaType   string
	algorithms  []token.Algorithm
	maxLifetime time.Duration
	anyoneAsks  bool              // for tokens for any audience
	eventIssuer map[string]string // the iss of events by that of tokens, where it is another
	sessionless bool              // access tokens do not name the session that a logout token names
	unsure      bool              // nobody can tell whether they do
}

const day = 24 * time.Hour

// ofIDTokens are claims that OpenID Connect Core gives to ID tokens alone.
var ofIDTokens = []string{"nonce", "at_hash", "c_hash", "s_hash"}

var presets = map[Preset]shape{
	Standard: {mediaType: "at+jwt", profile: token.Profile{Roles: "roles"}, maxLifetime: day, unsure: true},
	Keycloak: {
		issuer:      pathLike("/realms/", "https://HOST/realms/REALM"),
		profile:     token.Profile{Require: map[string][]string{"typ": {"Bearer"}}, Roles: "/realm_access/roles"},
		maxLifetime: day,
	},
	Auth0: {
		issuer:      pathIs("/", "https://TENANT.auth0.com/, with the slash at its end"),
		profile:     token.Profile{Refuse: ofIDTokens, Roles: "permissions"},
		algorithms:  []token.Algorithm{token.RS256, token.PS256},
		maxLifetime: 30 * day,
		sessionless: true,
	},
	Cognito: {
		issuer: hostLike("cognito-idp.", ".amazonaws.com", "https://cognito-idp.REGION.amazonaws.com/POOL"),
		profile: token.Profile{
			Require: map[string][]string{"token_use": {"access"}}, Audience: "client_id", SessionID: "origin_jti", Roles: "cognito:groups",
		},
		algorithms:  []token.Algorithm{token.RS256},
		maxLifetime: day,
	},
	Okta: {
		issuer:      pathLike("/oauth2/", "https://ORG.okta.com/oauth2/default"),
		profile:     token.Profile{Require: map[string][]string{"cid": nil}, Refuse: ofIDTokens, Scopes: "scp", Roles: "groups"},
		algorithms:  []token.Algorithm{token.RS256},
		maxLifetime: day,
		sessionless: true,
	},
	Entra: {
		issuer:      entraIssuer,
		profile:     token.Profile{Require: map[string][]string{"ver": {"2.0"}, "azp": nil}, Refuse: ofIDTokens, Scopes: "scp", Roles: "roles"},
		algorithms:  []token.Algorithm{token.RS256},
		maxLifetime: 2 * day,
		unsure:      true,
	},
	Google: {
		issuer:      hostIs("accounts.google.com"),
		profile:     token.Profile{Refuse: []string{"token_use"}},
		algorithms:  []token.Algorithm{token.RS256},
		anyoneAsks:  true,
		eventIssuer: map[string]string{"https://accounts.google.com": "https://accounts.google.com/"},
		maxLifetime: day,
		sessionless: true,
	},
}

func pathLike(part, example string) func(*url.URL) error {
	return func(u *url.URL) error {
		if _, after, found := strings.Cut(u.Path, part); !found || after == "" || strings.HasSuffix(after, "/") {
			return fmt.Errorf("is not like %s", example)
		}
		return nil
	}
}

func pathIs(path, example string) func(*url.URL) error {
	return func(u *url.URL) error {
		if u.Path != path {
			return fmt.Errorf("is not like %s", example)
		}
		return nil
	}
}

func hostLike(prefix, suffix, example string) func(*url.URL) error {
	return func(u *url.URL) error {
		if host := u.Hostname(); !httpx.IsLoopback(host) && (!strings.HasPrefix(host, prefix) || !strings.HasSuffix(host, suffix)) {
			return fmt.Errorf("is not like %s", example)
		}
		return nil
	}
}

func hostIs(name string) func(*url.URL) error {
	return func(u *url.URL) error {
		if host := u.Hostname(); !httpx.IsLoopback(host) && (host != name || u.Path != "") {
			return fmt.Errorf("is not https://%s", name)
		}
		return nil
	}
}

// entraIssuer wants one tenant: the keys of Microsoft sign for all of them.
func entraIssuer(u *url.URL) error {
	tenant, version, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch {
	case slices.Contains([]string{"common", "organizations", "consumers", ""}, tenant):
		return errors.New("names no tenant: https://login.microsoftonline.com/TENANT-ID/v2.0")
	case version != "v2.0":
		return errors.New("is not of version 2.0: https://login.microsoftonline.com/TENANT-ID/v2.0")
	}
	return nil
}
