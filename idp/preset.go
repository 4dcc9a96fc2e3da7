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

// A Preset describes the access tokens of one product.
type Preset string

// The presets, each with the page that documents its tokens.
const (
	// Standard is for any provider whose access tokens follow RFC 9068, with
	// typ at+jwt. Such tokens need not name the session, so a logout ends all
	// sessions of the user, unless a Profile with a SessionID is set.
	Standard Preset = "standard"

	// Keycloak requires the claim typ to be Bearer. The roles are those of the
	// realm. Add the audience to its tokens with an audience mapper.
	// https://www.keycloak.org/docs/latest/server_admin/
	Keycloak Preset = "keycloak"

	// Auth0 has issuers that end with a slash. The audience is the identifier
	// of an API, the roles are its permissions. Access tokens do not name the
	// session, so a logout ends all sessions of the user.
	// https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
	Auth0 Preset = "auth0"

	// Cognito requires the claim token_use to be access. Its tokens have no aud:
	// the audience is the ID of the app client. The session is named by
	// origin_jti.
	// https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
	Cognito Preset = "cognito"

	// Okta requires tokens of a custom authorization server, with the claim
	// cid.
	// https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/
	Okta Preset = "okta"

	// Entra requires version 2.0 tokens of one tenant, with the claim azp. The
	// roles are app roles. Access tokens name the session only if the app requests
	// the optional claim sid, so a logout ends all sessions of the user, unless a
	// Profile with a SessionID is set.
	// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
	Entra Preset = "entra"

	// Google requires ID tokens, because the access tokens of Google are not
	// JWTs. The audience is the ID of the client that requested the token.
	// Every service account at Google can get a token for any audience, so azp
	// must also be one of your clients. The iss of its events ends with a
	// slash. https://cloud.google.com/docs/authentication/get-id-token
	// https://developers.google.com/identity/protocols/risc
	// https://developers.google.com/identity/openid-connect/openid-connect
	Google Preset = "google"
)

// Presets returns all presets, sorted.
func Presets() []Preset {
	var all []Preset
	for p := range presets {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// presetSettings holds the settings of a preset.
type presetSettings struct {
	issuer      func(*url.URL) error
	profile     token.Profile
	mediaType   string
	algorithms  []token.Algorithm
	maxLifetime time.Duration
	// Any client can request tokens for any audience.
	anyoneAsks bool
	// Maps the iss of tokens to that of events, if they differ.
	eventIssuer map[string]string
	// Access tokens do not name the session that a logout token names.
	sessionless bool
	// It is unknown whether access tokens name the session.
	maybeSessionless bool
}

const day = 24 * time.Hour

// ofIDTokens lists claims that OpenID Connect Core defines for ID tokens only.
var ofIDTokens = []string{"nonce", "at_hash", "c_hash", "s_hash"}

var presets = map[Preset]presetSettings{
	Standard: {mediaType: "at+jwt", profile: token.Profile{Roles: "roles"}, maxLifetime: day, maybeSessionless: true},
	Keycloak: {
		issuer:      pathLike("/realms/", "https://HOST/realms/REALM"),
		profile:     token.Profile{Require: map[string][]string{"typ": {"Bearer"}}, Roles: "/realm_access/roles"},
		maxLifetime: day,
	},
	Auth0: {
		issuer:      pathIs("/", "https://TENANT.auth0.com/, with the slash at the end"),
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
		issuer:           entraIssuer,
		profile:          token.Profile{Require: map[string][]string{"ver": {"2.0"}, "azp": nil}, Refuse: ofIDTokens, Scopes: "scp", Roles: "roles"},
		algorithms:       []token.Algorithm{token.RS256},
		maxLifetime:      2 * day,
		maybeSessionless: true,
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

// entraIssuer requires the issuer of a single tenant, because Microsoft signs
// for all tenants with the same keys.
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
