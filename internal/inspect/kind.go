package inspect

import "strings"

// Kind returns a description of the kind of token, or "" if it is unknown.
func (t Token) Kind() string {
	typ := strings.ToLower(strings.TrimPrefix(strings.ToLower(Text(t.Header, "typ")), "application/"))
	switch {
	case typ == "logout+jwt", Has(t.Claims, "events") && typ != "secevent+jwt":
		return "a logout token (OpenID Connect Back-Channel Logout), which is not a credential"
	case typ == "secevent+jwt":
		return "a Security Event Token (RFC 8417), which is not a credential"
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

// kinds are tried in this order. If a product marks the kind of its tokens with
// a claim, that claim takes precedence over the issuer.
var kinds = []kind{
	{"an access token of Keycloak (preset keycloak)", hasValue("typ", "Bearer")},
	{"an ID token of Keycloak, which tells a client who logged in, and cannot open sockets", hasValue("typ", "ID")},
	{"a refresh token of Keycloak, which only Keycloak accepts", hasValue("typ", "Refresh", "Offline")},
	{"an access token of Amazon Cognito (preset cognito)", hasValue("token_use", "access")},
	{"an ID token of Amazon Cognito, which tells a client who logged in, and cannot open sockets", hasValue("token_use", "id")},
	{"an access token of wsauth", hasValue("type", "access")},
	{"a refresh token of wsauth, which only /auth/refresh accepts", hasValue("type", "refresh")},
	{"an ID token of Google, used like an access token (preset google)", hasValue("iss", "https://accounts.google.com")},
	{"an ID token, which tells a client who logged in, and cannot open sockets", func(t Token) bool {
		return Has(t.Claims, "nonce") || Has(t.Claims, "at_hash") || Has(t.Claims, "c_hash")
	}},
	{"an access token of Okta (preset okta)", func(t Token) bool { return Has(t.Claims, "cid") && Has(t.Claims, "uid") }},
	{"an access token of Microsoft Entra ID (preset entra)", func(t Token) bool { return Has(t.Claims, "tid") && Text(t.Claims, "ver") == "2.0" }},
	{"an access token of Microsoft Entra ID in version 1.0; register the API for version 2.0", func(t Token) bool {
		return Has(t.Claims, "tid") && Text(t.Claims, "ver") == "1.0"
	}},
	{"an access token of Auth0 (preset auth0)", func(t Token) bool { return strings.HasSuffix(Text(t.Claims, "iss"), ".auth0.com/") }},
}

// hasValue returns a predicate that reports whether a claim has one of the
// values.
func hasValue(name string, values ...string) func(Token) bool {
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
