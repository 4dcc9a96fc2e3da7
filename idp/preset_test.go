package idp

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/token"
)

// A specimen is an access token from the documentation of its provider, with
// the claims that must be read from it and changes that must make it invalid.
type specimen struct {
	config   Config
	header   claims
	payload  claims
	subject  string
	session  string
	scopes   []string
	roles    []string
	refused  map[string]claims
	accepted map[string]claims
}

func specimens() map[Preset]specimen {
	return map[Preset]specimen{
		Standard: {
			config: Config{Issuer: "https://id.example", Audience: []string{"https://api.example"}},
			header: claims{"typ": "at+jwt"},
			payload: claims{
				"iss": "https://id.example", "sub": "5ba552d67", "aud": "https://api.example", "exp": now(time.Hour), "iat": now(0), "jti": "dbe39bf3a3ba4238",
				"client_id": "s6BhdRkqt3", "scope": "openid profile reademail", "roles": []string{"editor"}, "auth_time": now(-time.Minute), "type": "Bearer", "fresh": "yes",
			},
			subject: "5ba552d67", scopes: []string{"openid", "profile", "reademail"}, roles: []string{"editor"},
		},
		Keycloak: {
			config: Config{Issuer: "https://sso.example/realms/shop", Audience: []string{"chat"}},
			header: claims{"typ": "JWT"},
			payload: claims{
				"exp": now(5 * time.Minute), "iat": now(0), "auth_time": now(-time.Hour), "jti": "onrtac:6f8b1c1e-7a7c-44a4-9a4e-0a2f5e0e8f7d",
				"iss": "https://sso.example/realms/shop", "aud": []string{"chat", "account"}, "sub": "f3a2c1d0-1f65-4f0e-b9c3-58f2a4d7e6b1", "typ": "Bearer", "azp": "web",
				"sid": "1c9d3a1e-53a8-4a87-9d3a-6d1f0a1b2c3d", "acr": "1", "allowed-origins": []string{"https://shop.example"},
				"realm_access":    claims{"roles": []string{"default-roles-shop", "seller"}},
				"resource_access": claims{"account": claims{"roles": []string{"manage-account"}}},
				"scope":           "openid email profile", "email_verified": true, "preferred_username": "ada",
			},
			subject: "f3a2c1d0-1f65-4f0e-b9c3-58f2a4d7e6b1", session: "1c9d3a1e-53a8-4a87-9d3a-6d1f0a1b2c3d",
			scopes: []string{"openid", "email", "profile"}, roles: []string{"default-roles-shop", "seller"},
			refused: map[string]claims{
				"ID token": {"typ": "ID"}, "refresh token": {"typ": "Refresh"}, "logout token": {"typ": "Logout"}, "no typ": {"typ": nil},
				"audience of no mapper": {"aud": "account"}, "another realm": {"iss": "https://sso.example/realms/shop2"},
			},
			accepted: map[string]claims{"of a service": {"sid": nil, "realm_access": nil}},
		},
		Auth0: {
			config: Config{Issuer: "https://shop.eu.auth0.com/", Audience: []string{"https://chat.example/api"}},
			header: claims{"typ": "JWT"},
			payload: claims{
				"iss": "https://shop.eu.auth0.com/", "sub": "auth0|61f1c2a3b4d5e6f708192a3b", "aud": []string{"https://chat.example/api", "https://shop.eu.auth0.com/userinfo"},
				"iat": now(0), "exp": now(24 * time.Hour), "azp": "aBcDeFgHiJ", "scope": "openid profile", "permissions": []string{"read:chat"},
			},
			subject: "auth0|61f1c2a3b4d5e6f708192a3b", scopes: []string{"openid", "profile"}, roles: []string{"read:chat"},
			refused: map[string]claims{
				"ID token": {"aud": "aBcDeFgHiJ", "nonce": "n", "scope": nil}, "a nonce": {"nonce": "n"}, "no slash": {"iss": "https://shop.eu.auth0.com"},
			},
			accepted: map[string]claims{"of RFC 9068": {"jti": "x", "client_id": "aBcDeFgHiJ", "azp": nil}},
		},
		Cognito: {
			config: Config{Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_aBcDeFgHi", Audience: []string{"3n4b5urk1ft4fl3mg5e62d9ado"}},
			header: claims{},
			payload: claims{
				"sub": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "cognito:groups": []string{"admins"}, "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_aBcDeFgHi",
				"version": 2, "client_id": "3n4b5urk1ft4fl3mg5e62d9ado", "origin_jti": "0f2b7c1a-3d4e-4f5a-8b6c-7d8e9f0a1b2c", "event_id": "b1c2d3e4", "token_use": "access",
				"scope": "openid phone", "auth_time": now(-time.Hour), "exp": now(time.Hour), "iat": now(0), "jti": "9e8d7c6b", "username": "ada",
			},
			subject: "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", session: "0f2b7c1a-3d4e-4f5a-8b6c-7d8e9f0a1b2c", scopes: []string{"openid", "phone"}, roles: []string{"admins"},
			refused: map[string]claims{
				"ID token":       {"token_use": "id", "aud": "3n4b5urk1ft4fl3mg5e62d9ado", "client_id": nil, "scope": nil},
				"another client": {"client_id": "other"}, "another pool": {"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_other"},
			},
		},
		Okta: {
			config: Config{Issuer: "https://shop.okta.com/oauth2/default", Audience: []string{"api://default"}},
			header: claims{},
			payload: claims{
				"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": "https://shop.okta.com/oauth2/default", "aud": "api://default",
				"iat": now(0), "exp": now(time.Hour), "cid": "0oabcdefghij", "uid": "00uabcdefghij", "scp": []string{"openid", "chat"}, "auth_time": now(-time.Minute),
				"sub": "ada@shop.example", "groups": []string{"Everyone"},
			},
			subject: "ada@shop.example", scopes: []string{"openid", "chat"}, roles: []string{"Everyone"},
			refused: map[string]claims{"ID token": {"aud": "0oabcdefghij", "jti": "ID.x", "cid": nil, "nonce": "n", "idp": "00o"}, "no cid": {"cid": nil}},
		},
		Entra: {
			config: Config{Issuer: "https://login.microsoftonline.com/8d1f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b/v2.0", Audience: []string{"6e74172b-be56-4843-9ff4-e66a39bb12e3"}},
			header: claims{"typ": "JWT", "x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg"},
			payload: claims{
				"aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "iss": "https://login.microsoftonline.com/8d1f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b/v2.0", "iat": now(0), "nbf": now(0),
				"exp": now(75 * time.Minute), "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "azpacr": "0", "name": "Ada", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
				"preferred_username": "ada@shop.example", "rh": "I", "scp": "chat.read chat.write", "roles": []string{"Chat.Admin"}, "sid": "aaaabbbb",
				"sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", "tid": "8d1f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b", "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
			},
			subject: "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ", session: "aaaabbbb", scopes: []string{"chat.read", "chat.write"}, roles: []string{"Chat.Admin"},
			refused: map[string]claims{
				"ID token for the same app": {"azp": nil, "azpacr": nil, "scp": nil, "nonce": "n"}, "no azp": {"azp": nil}, "version 1.0": {"ver": "1.0"},
				"another tenant": {"iss": "https://login.microsoftonline.com/00000000-2c3d-4e5f-8a9b-0c1d2e3f4a5b/v2.0"},
			},
		},
		Google: {
			config: Config{Issuer: "https://accounts.google.com", Audience: []string{"1234987819200.apps.googleusercontent.com"}},
			header: claims{"typ": "JWT"},
			payload: claims{
				"iss": "https://accounts.google.com", "azp": "1234987819200.apps.googleusercontent.com", "aud": "1234987819200.apps.googleusercontent.com",
				"sub": "10769150350006150715113082367", "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "hd": "example.com", "email": "ada@example.com", "email_verified": true,
				"iat": now(0), "exp": now(time.Hour), "nonce": "0394852-3190485-2490358",
			},
			subject:  "10769150350006150715113082367",
			refused:  map[string]claims{"of another site": {"aud": "1.apps.googleusercontent.com"}, "iss without a scheme": {"iss": "accounts.google.com"}},
			accepted: map[string]claims{"without azp": {"azp": nil}, "of an organization": {"hd": "shop.example"}},
		},
	}
}

// TestPresets checks that a documented access token is accepted and its claims
// are read. Other tokens signed with the same key, and tokens of other
// providers, are refused.
func TestPresets(t *testing.T) {
	all := specimens()
	for _, preset := range Presets() {
		t.Run(string(preset), func(t *testing.T) {
			s, ok := all[preset]
			if !ok {
				t.Fatal("no specimen")
			}
			sign := newSigner()
			s.config.Preset, s.config.Keys = preset, sign.keys()
			p, err := New(s.config)
			if err != nil {
				t.Fatal(err)
			}
			verify := func(header, payload claims) (*token.Claims, error) {
				return p.Verifier().Verify(context.Background(), sign.sign(header, payload))
			}
			c, err := verify(s.header, s.payload)
			if err != nil {
				t.Fatal(err)
			}
			if c.Subject != s.subject || c.SessionID != s.session || !slices.Equal(c.Scopes, s.scopes) || !slices.Equal(c.Roles, s.roles) {
				t.Errorf("got sub %q, sid %q, scopes %q, roles %q", c.Subject, c.SessionID, c.Scopes, c.Roles)
			}
			if c.Type != token.TypeAccess || c.Fresh || c.CSRF != "" {
				t.Errorf("got type %q, fresh %v, csrf %q", c.Type, c.Fresh, c.CSRF)
			}
			for name, change := range s.accepted {
				if _, err := verify(s.header, with(s.payload, change)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			refused := with(claims{
				"no exp": claims{"exp": nil}, "expired": claims{"exp": now(-time.Minute)}, "no sub": claims{"sub": nil}, "no iss": claims{"iss": nil},
				"too long a life": claims{"exp": now(40 * day)}, "logout token": claims{"events": claims{logoutEvent: claims{}}}, "another audience": claims{"aud": "other", "client_id": "other"},
			}, nil)
			for name, change := range s.refused {
				refused[name] = change
			}
			reasons := map[string]error{"expired": token.ErrExpired}
			for name, change := range refused {
				want := token.ErrClaims
				if changed := change.(claims); changed["iss"] != nil || name == "no iss" {
					want = token.ErrIssuer
				} else if (changed["aud"] != nil || changed["client_id"] != nil) && !strings.HasPrefix(name, "ID token") {
					want = token.ErrAudience
				} else if reasons[name] != nil {
					want = reasons[name]
				}
				if _, err := verify(s.header, with(s.payload, change.(claims))); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			}
			for name, header := range map[string]claims{"logout+jwt": {"typ": "logout+jwt"}, "secevent+jwt": {"typ": "secevent+jwt"}, "dpop+jwt": {"typ": "dpop+jwt"}} {
				if _, err := verify(with(s.header, header), s.payload); !errors.Is(err, token.ErrMalformed) || !strings.Contains(err.Error(), "typ is that of another kind") {
					t.Errorf("typ %s: %v", name, err)
				}
			}
			for other, foreign := range all {
				if other == preset {
					continue
				}
				changed := with(foreign.payload, claims{"iss": s.payload["iss"], "aud": s.payload["aud"], "client_id": s.payload["client_id"]})
				_, err := verify(foreign.header, changed)
				if preset != Keycloak && preset != Cognito && preset != Entra && preset != Okta && preset != Standard {
					continue
				}
				if want := map[bool]error{false: token.ErrClaims, true: token.ErrMalformed}[preset == Standard]; !errors.Is(err, want) {
					t.Errorf("a token of the shape of %s: %v, want %v", other, err, want)
				}
			}
		})
	}
}

// TestConfigErrors checks that every error of a configuration is reported, with
// the name of its field.
func TestConfigErrors(t *testing.T) {
	good := Config{Issuer: "https://id.example", Audience: []string{"api"}}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"good":             {func(*Config) {}, ""},
		"no issuer":        {func(c *Config) { c.Issuer = "" }, "Issuer"},
		"http":             {func(c *Config) { c.Issuer = "http://id.example" }, "Issuer"},
		"loopback":         {func(c *Config) { c.Issuer = "http://127.0.0.1:8080" }, ""},
		"127 as a name":    {func(c *Config) { c.Issuer = "http://127.evil.example" }, "Issuer"},
		"no audience":      {func(c *Config) { c.Audience = nil }, "Audience"},
		"unknown preset":   {func(c *Config) { c.Preset = "nokia" }, "Preset"},
		"no slash":         {func(c *Config) { c.Preset, c.Issuer = Auth0, "https://x.auth0.com" }, "with the slash"},
		"common":           {func(c *Config) { c.Preset, c.Issuer = Entra, "https://login.microsoftonline.com/common/v2.0" }, "names no tenant"},
		"version 1":        {func(c *Config) { c.Preset, c.Issuer = Entra, "https://login.microsoftonline.com/8d1f/" }, "version 2.0"},
		"no realm":         {func(c *Config) { c.Preset, c.Issuer = Keycloak, "https://sso.example/" }, "REALM"},
		"not of Google":    {func(c *Config) { c.Preset = Google }, "accounts.google.com"},
		"secret algorithm": {func(c *Config) { c.Algorithms = []token.Algorithm{token.HS256} }, "Algorithms"},
		"namespace":        {func(c *Config) { c.Namespace = "a|b" }, "Namespace"},
		"leeway":           {func(c *Config) { c.Leeway = 2 * time.Minute }, "Leeway"},
	} {
		c := good
		tt.change(&c)
		_, err := New(c)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want one of %q", name, err, tt.want)
		}
	}
}

// TestInsecureSettings checks that an insecure configuration requires an
// explicit setting and has a warning.
func TestInsecureSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		config  Config
		fault   string
		warning string
	}{
		"http":                 {Config{Issuer: "http://keycloak:8080/realms/a", Audience: []string{"a"}}, "insecure_http", ""},
		"http, set":            {Config{Issuer: "http://keycloak:8080/realms/a", Audience: []string{"a"}, InsecureHTTP: true}, "", "InsecureHTTP: "},
		"http of a preset":     {Config{Preset: Keycloak, Issuer: "http://keycloak:8080/realms/a", Audience: []string{"a"}, InsecureHTTP: true}, "", "InsecureHTTP: "},
		"http on this machine": {Config{Issuer: "http://127.0.0.1:8080/realms/a", Audience: []string{"a"}}, "", ""},
		"http keys":            {Config{Issuer: "https://id.example", KeysURL: "http://keycloak:8080/keys", Audience: []string{"a"}}, "insecure_http", ""},
		"another scheme":       {Config{Issuer: "ftp://id.example", Audience: []string{"a"}, InsecureHTTP: true}, "Issuer", ""},
		"no audience":          {Config{Issuer: "https://id.example"}, "Audience", ""},
		"a party":              {Config{Issuer: "https://id.example", InsecureAuthorizedParty: []string{"web"}}, "", "InsecureAuthorizedParty: "},
	} {
		_, err := New(tt.config)
		if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v, want %q", name, err, tt.fault)
		}
		warnings := strings.Join(tt.config.Warnings(), "\n")
		if !strings.HasPrefix(warnings, tt.warning) || tt.fault == "" && (tt.warning == "") != (warnings == "") {
			t.Errorf("%s: warnings %q, want %q", name, warnings, tt.warning)
		}
	}
}

// TestGoogleParties checks which clients may request a token of Google, and for
// which audiences.
func TestGoogleParties(t *testing.T) {
	const web, app, service = "web.apps.googleusercontent.com", "android.apps.googleusercontent.com", "107517467455664443765"
	for name, tt := range map[string]struct {
		config Config
		change claims
		want   error
	}{
		"our client":               {Config{}, nil, nil},
		"no azp":                   {Config{}, claims{"azp": nil}, nil},
		"an empty azp":             {Config{}, claims{"azp": ""}, nil},
		"a list as azp":            {Config{}, claims{"azp": []string{web}}, token.ErrAudience},
		"a number as azp":          {Config{}, claims{"azp": 1}, token.ErrAudience},
		"a service account":        {Config{}, claims{"azp": service, "email": "x@evil.iam.gserviceaccount.com"}, token.ErrAudience},
		"an app, unnamed":          {Config{}, claims{"azp": app}, token.ErrAudience},
		"an app, named":            {Config{AuthorizedParties: []string{web, app}}, claims{"azp": app}, nil},
		"an app as client":         {Config{ClientIDs: []string{web, app}}, claims{"azp": app}, nil},
		"and another":              {Config{AuthorizedParties: []string{app}}, nil, token.ErrAudience},
		"our service":              {Config{AuthorizedParties: []string{web, service}}, claims{"azp": service}, nil},
		"hd":                       {Config{HostedDomains: []string{"shop.example"}}, claims{"hd": "shop.example"}, nil},
		"one of two":               {Config{HostedDomains: []string{"a.example", "shop.example"}}, claims{"hd": "shop.example"}, nil},
		"another organization":     {Config{HostedDomains: []string{"shop.example"}}, claims{"hd": "evil.example"}, token.ErrClaims},
		"no organization":          {Config{HostedDomains: []string{"shop.example"}}, claims{"email": "ada@shop.example"}, token.ErrClaims},
		"in a list":                {Config{HostedDomains: []string{"shop.example"}}, claims{"hd": []string{"shop.example"}}, token.ErrClaims},
		"below it":                 {Config{HostedDomains: []string{"shop.example"}}, claims{"hd": "x.shop.example"}, token.ErrClaims},
		"a stranger of our domain": {Config{HostedDomains: []string{"shop.example"}}, claims{"hd": "shop.example", "azp": service}, token.ErrAudience},
	} {
		tt.config.Preset, tt.config.Issuer, tt.config.Audience = Google, "https://accounts.google.com", []string{web}
		p, s := newProvider(t, tt.config)
		_, err := p.Verifier().Verify(t.Context(), s.sign(claims{"typ": "JWT"}, with(claims{
			"iss": "https://accounts.google.com", "aud": web, "azp": web, "sub": "10769150350006150715113082367", "iat": now(0), "exp": now(time.Hour),
		}, tt.change)))
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if errors.Is(tt.want, token.ErrAudience) && !strings.Contains(err.Error(), "authorized_parties") {
			t.Errorf("%s: the error names no setting: %v", name, err)
		}
	}
	// Other clients may be configured.
	p, s := newProvider(t, Config{Preset: Keycloak, Issuer: realm, Audience: []string{"chat"}, AuthorizedParties: []string{"web"}})
	for azp, want := range map[string]bool{"web": true, "other": false} {
		_, err := p.Verifier().Verify(t.Context(), s.sign(nil, claims{"iss": realm, "aud": "chat", "azp": azp, "sub": "ada", "typ": "Bearer", "iat": now(0), "exp": now(time.Hour)}))
		if (err == nil) != want {
			t.Errorf("%s: got %v, want success: %v", azp, err, want)
		}
	}
}
