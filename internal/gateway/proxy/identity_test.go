package proxy

import (
	"net/http"
	"strings"
	"testing"

	"wsauth/token"
)

// claimsWith returns the claims of a token, plus the given ones.
func claimsWith(t *testing.T, subject string, extra map[string]any) *token.Claims {
	t.Helper()
	issuer := must(token.NewIssuer(token.IssuerConfig{Key: must(token.GenerateKey(token.HS256))}))
	made, err := issuer.Access(subject, token.Options{SessionID: "s1", Claims: extra})
	if err != nil {
		t.Fatal(err)
	}
	return made.Claims
}

func TestIdentityHeaders(t *testing.T) {
	claims := claimsWith(t, "ada", map[string]any{
		"email": "ada@example.org", "level": 3, "paid": true, "roles": []string{"admin", "ops"},
		"org": map[string]any{"name": "Analytical", "units": []string{"x"}}, "org.name": "whole", "name": "Zoë",
	})
	h := http.Header{}
	teller := newIdentityHeaders(Route{Upstreams: []string{"http://x"}, Headers: map[string]string{
		"x-user": "sub", "X-Sid": "sid", "X-Email": "email", "X-Level": "level", "X-Paid": "paid", "X-Roles": "roles",
		"X-Org": "org.name", "X-Units": "org.units", "X-Absent": "none.such", "X-Name": "name",
	}}, nil)
	if err := teller.add(h, claims); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"X-User": "ada", "X-Sid": "s1", "X-Email": "ada@example.org", "X-Level": "3", "X-Paid": "true", "X-Roles": "admin,ops",
		"X-Org": "whole", "X-Units": "x", "X-Absent": "", "X-Name": "Zoë",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if h.Values("X-Absent") != nil {
		t.Error("an absent claim has a header")
	}
	if err := teller.add(h, nil); err != nil {
		t.Errorf("nil claims: %v, want no error", err)
	}
}

// TestR8_ClaimsThatNoHeaderCanCarry checks that claims are refused if a header
// cannot carry them unchanged.
func TestR8_ClaimsThatNoHeaderCanCarry(t *testing.T) {
	for name, value := range map[string]any{
		"line break": "a\r\nX-Admin: 1", "newline": "a\nb", "control": "a\x00b", "tab": "a\tb", "space before": " admin", "space after": "admin ",
		"comma in a list": []string{"a,b", "c"}, "object": map[string]any{"a": 1}, "null": nil, "list in a list": []any{[]any{"a"}},
		"too long": strings.Repeat("x", 5000),
	} {
		claims := claimsWith(t, "ada", map[string]any{"x": value})
		teller := newIdentityHeaders(Route{Upstreams: []string{"http://x"}, Headers: map[string]string{"X-X": "x"}}, nil)
		h := http.Header{}
		if err := teller.add(h, claims); err == nil {
			t.Errorf("%s: written as %q, want an error", name, h.Get("X-X"))
		}
	}
}

func TestAssertion(t *testing.T) {
	key := must(token.GenerateKey(token.ES256))
	issuer := must(token.NewIssuer(token.IssuerConfig{Key: key, Issuer: "https://gw.example"}))
	teller := newIdentityHeaders(Route{Upstreams: []string{"http://backend:1"}, Assertion: "x-wsauth-assertion"}, issuer)
	h := http.Header{}
	if err := teller.add(h, claimsWith(t, "ada", map[string]any{"email": "a@x", "scope": "read"})); err != nil {
		t.Fatal(err)
	}
	verifier := must(token.NewVerifier(token.VerifierConfig{Keys: must(token.NewKeySet(key)), Issuer: "https://gw.example", Audience: []string{"http://backend:1"}}))
	claims, err := verifier.Verify(t.Context(), h.Get("X-Wsauth-Assertion"))
	if err != nil {
		t.Fatal(err)
	}
	var extra struct {
		Email string `json:"email"`
		Scope string `json:"scope"`
		Aud   string `json:"aud"` // a single audience is not a list
	}
	if err := claims.Decode(&extra); err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "ada" || claims.SessionID != "s1" || extra.Email != "a@x" || extra.Scope != "read" || extra.Aud != "http://backend:1" || claims.Type != token.TypeAssertion {
		t.Errorf("got %v and %v, want an assertion about ada for http://backend:1", claims, extra)
	}
	if life := claims.ExpiresAt.Sub(claims.IssuedAt); life != AssertionTTL {
		t.Errorf("the assertion lives for %s, want %s", life, AssertionTTL)
	}
}

// TestR9_Spellings checks that all spellings of a header that servers treat as
// the same are removed.
func TestR9_Spellings(t *testing.T) {
	of := newRouteTable(&Routes{}, []*proxy{{route: Route{Path: "/", Headers: map[string]string{"X-User": "sub"}, Assertion: "X-Wsauth-Assertion"}}})
	h := http.Header{}
	for _, name := range []string{"X-User", "x-user", "X_User", "X_USER", "x-USER", "X.User", "X~User", "X-Wsauth_Assertion", "x_wsauth_assertion"} {
		h[name] = []string{"mallory"}
	}
	h["X-Username"], h["X-Use"] = []string{"kept"}, []string{"kept"}
	of.stripIdentity(h)
	if len(h) != 2 {
		t.Errorf("got %v, want two headers", h)
	}
}

// TestClaimsOfARoute checks that clients without the required role or scope are
// refused.
func TestClaimsOfARoute(t *testing.T) {
	p := &proxy{routes: &Routes{}, route: Route{Scopes: []string{"chat:read", "chat:write"}, Claims: map[string][]string{"realm.roles": {"admin", "ops"}}}}
	for name, c := range map[string]struct {
		extra map[string]any
		why   string // of a refusal
	}{
		"all":               {map[string]any{"scope": "x chat:write chat:read", "realm": map[string]any{"roles": []string{"user", "ops"}}}, ""},
		"scp":               {map[string]any{"scp": []string{"chat:write", "chat:read"}, "realm": map[string]any{"roles": "admin"}}, ""},
		"one scope":         {map[string]any{"scope": "chat:write", "realm": map[string]any{"roles": "admin"}}, "no scope"},
		"a prefix":          {map[string]any{"scope": "chat:write chat:rea", "realm": map[string]any{"roles": "admin"}}, "no scope"},
		"another role":      {map[string]any{"scope": "chat:write chat:read", "realm": map[string]any{"roles": []string{"administrator"}}}, "none of the values"},
		"no role":           {map[string]any{"scope": "chat:write chat:read"}, "realm.roles"},
		"a role elsewhere":  {map[string]any{"scope": "chat:write chat:read", "roles": "admin"}, "realm.roles"},
		"role as an object": {map[string]any{"scope": "chat:write chat:read", "realm": map[string]any{"roles": map[string]any{"admin": true}}}, "realm.roles"},
		"nothing":           {nil, "no scope"},
	} {
		err := p.authorize(nil, claimsWith(t, "ada", c.extra))
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want %q", name, err, c.why)
		}
	}
}
