package inspect

import "strings"

// Kind is what the token looks like, in words, or "" where nothing tells.
func (t Token) Kind() string {
	typ := strings.ToLower(strings.TrimPrefix(strings.ToLower(Text(t.Header, "typ")), "application/"))
	switch {
	case typ == "logout+jwt", Has(t.Claims, "events") && typ != "secevent+jwt":
		return "a logout token (OpenID Connect Back-Channel Logout): it lets nobody in"
	case typ == "secevent+jwt":
		return "a Security Event Token (RFC 8417): it lets nobody in"
	}
	for _, k := range kinds {
		if k.fits(t) {
			return k.name
		}
	}
	if typ == "at+jwt" {
		return "an access token (RFC 9068)"
	}
	return ""
}

type kind struct {
	name string
	fits func(Token) bool
}

// kinds are tried in this order. Where a product tells its kinds of token apart by a claim, that comes before the address of its issuer.
var kinds = []kind{
	{"an access token of Keycloak (preset keycloak)", has("typ", "Bearer")},
	{"an ID token of Keycloak: it says who logged in, and is not for opening sockets", has("typ", "ID")},
	{"a refresh token of Keycloak: only Keycloak takes it", has("typ", "Refresh", "Offline")},
	{"an access token of Amazon Cognito (preset cognito)", has("token_use", "access")},
	{"an ID token of Amazon Cognito: it says who logged in, and is not for opening sockets", has("token_use", "id")},
	{"an access token of wsauth", has("type", "access")},
	{"a refresh token of wsauth: only /auth/refresh takes it", has("type", "refresh")},
	{"an ID token of Google, which stands for its access tokens (preset google)", has("iss", "https://accounts.google.com")},
	{"an ID token: it says who logged in, and is not for opening sockets", func(t Token) bool {
		return Has(t.Claims, "nonce") || Has(t.Claims, "at_hash") || Has(t.Claims, "c_hash")
	}},
	{"an access token of Okta (preset okta)", func(t Token) bool { return Has(t.Claims, "cid") && Has(t.Claims, "uid") }},
	{"an access token of Microsoft Entra ID (preset entra)", func(t Token) bool { return Has(t.Claims, "tid") && Text(t.Claims, "ver") == "2.0" }},
	{"an access token of Microsoft Entra ID in version 1.0; register the API for version 2.0", func(t Token) bool {
		return Has(t.Claims, "tid") && Text(t.Claims, "ver") == "1.0"
	}},
	{"an access token of Auth0 (preset auth0)", func(t Token) bool { return strings.HasSuffix(Text(t.Claims, "iss"), ".auth0.com/") }},
}

// has is whether a claim has one of some values.
func has(name string, values ...string) func(Token) bool {
	return func(t Token) bool {
		text := Text(t.Claims, name)
		for _, v := range values {
			if text == v {
				return true
			}
		}
		return false
	}
}
