package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/idp"
	"wsauth/internal/idptest"
	"wsauth/token"
)

// providing trusts the provider by a preset of Keycloak's shape, and has the
// one route.
func providing(p *idptest.Provider, route Route) func(*Config) {
	return func(c *Config) {
		c.Keys = must(token.NewKeySet(must(token.GenerateKey(token.ES256))))
		c.Providers = []*idp.Provider{must(idp.New(idp.Config{
			Preset: idp.Standard, Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp", Profile: &token.Profile{Roles: "/realm_access/roles"},
		}))}
		c.Routes = []Route{route}
	}
}

// payloadOf reads the claims of a token that somebody else would verify.
func payloadOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	segments := strings.Split(raw, ".")
	if len(segments) != 3 {
		t.Fatalf("no token: %q", raw)
	}
	var v map[string]any
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(segments[1])), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestG4_RulesSeeTheNamespace: a rule that names a user, a session or a token
// means that of the namespace, however the token gets there.
func TestG4_RulesSeeTheNamespace(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	for _, test := range []struct {
		claim, value string
		changes      map[string]any
		allowed      bool
	}{
		{"sub", "ada", nil, false},
		{"sub", "idp|ada", nil, true},
		{"sid", "s", nil, false},
		{"sid", "idp|s", nil, true},
		{"jti", "access-ada", nil, false},
		{"jti", "idp|access-ada", nil, true},
		{"SUB", "ada", map[string]any{"SUB": "ada"}, false},
		{"ſub", "ada", map[string]any{"ſub": "ada"}, false},
		{"act.sub", "bob", map[string]any{"act": map[string]any{"sub": "bob"}}, false},
		{"act.sub", "idp|bob", map[string]any{"act": map[string]any{"sub": "bob"}}, true},
		{"sub_id.sub", "ada", map[string]any{"sub_id": map[string]any{"format": "iss_sub", "iss": p.Issuer(), "sub": "ada"}}, false},
	} {
		t.Run(test.claim+" "+test.value, func(t *testing.T) {
			r := start(t, providing(p, Route{Path: "/", Upstreams: []string{b.URL}, Claims: map[string][]string{test.claim: {test.value}}}))
			raw := accessToken(p, "ada", "s", test.changes)
			want := map[bool]int{true: 200, false: 403}[test.allowed]
			if e := r.get("/x", bearer(raw)); e.StatusCode != want {
				t.Errorf("a plain request: %d, want %d; %s", e.StatusCode, want, r.log)
			}
			conn, _, err := r.trySocket("/x", nil, bearer(raw))
			if (err == nil) != test.allowed {
				t.Errorf("a socket: %v", err)
			}
			if err == nil {
				r.echoOf(conn, "hello")
			}
		})
	}
}

// TestG4_OwnTokensHaveNoNamespace: names of our own tokens stand in rules as
// they are.
func TestG4_OwnTokensHaveNoNamespace(t *testing.T) {
	b := newBackend(t)
	r := start(t, providing(idptest.New(t), Route{Path: "/", Upstreams: []string{b.URL}, Claims: map[string][]string{"sub": {"test"}}}))
	access, _ := r.login()
	if e := r.get("/x", bearer(access)); e.StatusCode != 200 {
		t.Errorf("%d", e.StatusCode)
	}
}

// TestG4_DownstreamSeesTheNamespace: every name that leaves the gateway has
// it, by a token, a ticket or a first message.
func TestG4_DownstreamSeesTheNamespace(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	headers := map[string]string{"X-User": "sub", "X-Sid": "sid", "X-Jti": "jti", "X-Actor": "act.sub", "X-Twin": "SUB"}
	r := start(t, providing(p, Route{
		Path: "/", Upstreams: []string{b.URL}, Headers: headers, Assertion: "X-Client-Token",
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.FirstMessage{}},
	}), func(c *Config) { c.AccessLog = true })
	raw := accessToken(p, "ada", "s", map[string]any{"act": map[string]any{"sub": "bob"}, "SUB": "eve", "Sid": "z"})
	want := func(how string) {
		t.Helper()
		h := b.last().Header
		for name, value := range map[string]string{"X-User": "idp|ada", "X-Sid": "idp|s", "X-Jti": "idp|access-ada", "X-Actor": "idp|bob", "X-Twin": ""} {
			if got := h.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", how, name, got, value)
			}
		}
		asserted := payloadOf(t, h.Get("X-Client-Token"))
		if asserted["sub"] != "idp|ada" || asserted["sid"] != "idp|s" || fmt.Sprint(asserted["act"]) != "map[sub:idp|bob]" || asserted["SUB"] != nil || asserted["Sid"] != nil {
			t.Errorf("%s: asserted is %v", how, asserted)
		}
	}
	r.get("/x", bearer(raw))
	want("a plain request")
	r.echoOf(r.socket("/x", bearer(raw)), "hello")
	want("a socket")
	r.echoOf(r.socket("/ws?ticket="+r.ticket(raw), "Origin: "+r.url), "hello")
	want("a ticket")
	conn := r.socket("/x")
	r.write(conn, `{"type":"auth","token":"`+raw+`"}`)
	if _, err := r.read(conn); err != nil {
		t.Fatal(err)
	}
	r.echoOf(conn, "hello")
	want("a first message")

	session := r.call("GET", "/auth/session", "", bearer(raw)).decode(t)
	if session["sub"] != "idp|ada" || session["sid"] != "idp|s" || session["jti"] != "idp|access-ada" || session["SUB"] != nil {
		t.Errorf("/auth/session shows %v", session)
	}
	if log := r.log.String(); strings.Contains(log, "user=ada") || !strings.Contains(log, "user=idp|ada") {
		t.Errorf("the log has a raw name:\n%s", log)
	}
}

// TestG5_RolesAndScopesOnlyAsMapped: where the profile finds no roles and no
// scopes there are none, for rules, headers and assertions.
func TestG5_RolesAndScopesOnlyAsMapped(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	headers := map[string]string{"X-Roles": "roles", "X-Scope": "scope", "X-Scp": "scp"}
	behind := func(change func(*Route)) *rig {
		route := Route{Path: "/", Upstreams: []string{b.URL}, Headers: headers, Assertion: "X-Client-Token"}
		change(&route)
		return start(t, providing(p, route))
	}
	open := behind(func(*Route) {})
	byRole := behind(func(r *Route) { r.Claims = map[string][]string{"roles": {"admin"}} })
	byTwin := behind(func(r *Route) { r.Claims = map[string][]string{"Roles": {"admin"}} })
	byScope := behind(func(r *Route) { r.Scopes = []string{"admin"} })
	byScp := behind(func(r *Route) { r.Claims = map[string][]string{"scp": {"admin"}} })

	other := map[string]any{"roles": []string{"admin"}, "Roles": []string{"admin"}, "scp": "admin", "Scope": "admin", "groups": []string{"admin"}}
	realm := func(roles any) map[string]any { return map[string]any{"roles": roles} }
	malformed := map[string]bool{"an array in an array": true, "a number": true, "an object": true, "a scope that is a truth": true}
	for name, mapped := range map[string]map[string]any{
		"absent":                  {},
		"null":                    {"realm_access": realm(nil), "scope": nil},
		"empty":                   {"realm_access": realm([]string{}), "scope": ""},
		"an empty object":         {"realm_access": map[string]any{}, "scope": " "},
		"null on the way":         {"realm_access": nil},
		"a text on the way":       {"realm_access": "roles"},
		"an array on the way":     {"realm_access": []any{realm([]string{"admin"})}},
		"a case twin on the way":  {"Realm_access": realm([]string{"admin"})},
		"a claim with a dot":      {"realm_access.roles": []string{"admin"}},
		"a scope like admin":      {"scope": "administrator Admin admi"},
		"an array in an array":    {"realm_access": realm([]any{[]string{"admin"}})},
		"a number":                {"realm_access": realm(1)},
		"an object":               {"realm_access": realm(map[string]any{"admin": true})},
		"a scope that is a truth": {"scope": true},
	} {
		claims := map[string]any{}
		for _, some := range []map[string]any{other, mapped} {
			for claim, v := range some {
				claims[claim] = v
			}
		}
		raw := accessToken(p, "ada", "s", claims)
		if e := open.get("/x", bearer(raw)); e.StatusCode == 200 {
			h := b.last().Header
			asserted := payloadOf(t, h.Get("X-Client-Token"))
			if h.Get("X-Roles") != "" || h.Get("X-Scp") != "" || strings.Contains(" "+h.Get("X-Scope")+" ", " admin ") || asserted["roles"] != nil || asserted["Roles"] != nil || asserted["scp"] != nil || asserted["Scope"] != nil {
				t.Errorf("%s: the upstream is told %v, %v", name, h, asserted)
			}
		} else if e.StatusCode != 401 || !malformed[name] {
			t.Errorf("%s: %d", name, e.StatusCode)
		}
		want, before := 403, b.count()
		if malformed[name] {
			want = 401
		}
		for rule, r := range map[string]*rig{"roles": byRole, "Roles": byTwin, "scopes": byScope, "scp": byScp} {
			if e := r.get("/x", bearer(raw)); e.StatusCode != want || b.count() != before {
				t.Errorf("%s: the rule on %s: %d, want %d", name, rule, e.StatusCode, want)
			}
		}
	}

	// What the profile finds counts.
	raw := accessToken(p, "ada", "s", map[string]any{"realm_access": realm([]string{"admin", "ops"}), "scope": "read admin", "roles": []string{"no"}})
	for rule, r := range map[string]*rig{"none": open, "roles": byRole, "scopes": byScope} {
		if e := r.get("/x", bearer(raw)); e.StatusCode != 200 {
			t.Errorf("mapped, rule on %s: %d", rule, e.StatusCode)
		}
	}
	h := b.last().Header
	asserted := payloadOf(t, h.Get("X-Client-Token"))
	if h.Get("X-Roles") != "admin,ops" || fmt.Sprint(asserted["roles"]) != "[admin ops]" || asserted["scope"] != "read admin" {
		t.Errorf("the upstream is told %v, %v", h, asserted)
	}
}

// An entry of a list of scopes is one scope, with the spaces in it.
func TestG5_AScopeWithASpaceIsOne(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	r := start(t, providing(p, Route{Path: "/", Upstreams: []string{b.URL}, Scopes: []string{"admin"}}))
	for scope, want := range map[string]int{"read admin": 403, "admin": 200} {
		list := map[string]any{"scope": []string{scope}}
		own := must(r.g.issuer.Access("ada", token.Options{Claims: list})).Raw
		for whose, raw := range map[string]string{"the provider's": accessToken(p, "ada", "s", list), "our own": own} {
			if e := r.get("/x", bearer(raw)); e.StatusCode != want {
				t.Errorf("%s [%q]: %d, want %d", whose, scope, e.StatusCode, want)
			}
		}
	}
}

// TestG5_OwnTokens: ours have no profile, and their claims count as they are.
func TestG5_OwnTokens(t *testing.T) {
	b := newBackend(t)
	r := start(t, providing(idptest.New(t), Route{Path: "/", Upstreams: []string{b.URL}, Headers: map[string]string{"X-Roles": "roles"}, Scopes: []string{"a", "b"}}))
	own := must(r.g.issuer.Access("ada", token.Options{Claims: map[string]any{"roles": []string{"x", "y"}, "scope": "a", "scp": []string{"b"}}})).Raw
	if e := r.get("/x", bearer(own)); e.StatusCode != http.StatusOK || b.last().Header.Get("X-Roles") != "x,y" {
		t.Errorf("%d %v", e.StatusCode, b.last().Header)
	}
}

// TestLogoutOfATokenWithoutNames: a token that has neither sid nor jti is
// logged out like any other: its sockets end, it is refused from then on, and
// operators see and revoke it by the name that it has.
func TestLogoutOfATokenWithoutNames(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	r := start(t, providing(p, Route{Path: "/", Upstreams: []string{b.URL}, Headers: map[string]string{"X-Jti": "jti"}}))
	unnamed := func(n int) string {
		return accessToken(p, "ada", "s", map[string]any{"jti": nil, "sid": nil, "n": n})
	}
	first, second := unnamed(1), unnamed(2)
	one, other := r.socket("/x", bearer(first)), r.socket("/x", bearer(second))
	r.echoOf(one, "hello")
	if e := r.get("/x", bearer(first)); e.StatusCode != 200 || b.last().Header.Get("X-Jti") != "" {
		t.Errorf("%d %v", e.StatusCode, b.last().Header)
	}
	ticket := r.ticket(first)
	if e := r.call("POST", "/auth/logout", "", bearer(first)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", e.StatusCode, e.body)
	}
	r.wantClose(one, 3000, "token_revoked")
	wantDead(t, r.call("GET", "/auth/session", "", bearer(first)))
	wantDead(t, r.exactly("GET /x HTTP/1.1", append([]string{bearer(first)}, upgradeLines...)...))
	site := []string{"Host: " + strings.TrimPrefix(r.url, "http://"), "Origin: " + r.url}
	wantDead(t, r.exactly("GET /ws?ticket="+ticket+" HTTP/1.1", append(site, upgradeLines...)...))
	r.echoOf(other, "still here?")
	o := r.operator()
	sockets := o.get("/v1/sockets")["sockets"].([]any)
	if len(sockets) != 1 {
		t.Fatalf("operators see %v", sockets)
	}
	name, _ := sockets[0].(map[string]any)["jti"].(string)
	if v := o.revoke(`{"token":` + quoteJSON(t, name) + `}`); name == "" || v["sockets"] != float64(1) {
		t.Errorf("%q is revoked: %v", name, v)
	}
	r.wantClose(other, 3000, "token_revoked")
	wantDead(t, r.call("GET", "/auth/session", "", bearer(second)))
	if log := r.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has an error:\n%s", log)
	}
}

// TestTokenOfANewKey: a key that the provider published just after its keys
// were fetched is answered with 503 and Retry-After, so that nobody logs out;
// a token that is older than that fetch with 401.
func TestTokenOfANewKey(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	r := start(t, providing(p, Route{Path: "/", Upstreams: []string{b.URL}}))
	if e := r.get("/x", bearer(accessToken(p, "ada", "s", nil))); e.StatusCode != 200 {
		t.Fatalf("%d", e.StatusCode)
	}
	p.Rotate("key-2", "ES256")
	raw := accessToken(p, "ada", "s", nil)
	if e := r.get("/x", bearer(raw)); e.StatusCode != 503 || e.Header.Get("Retry-After") == "" || b.count() != 1 {
		t.Errorf("%d, Retry-After %q", e.StatusCode, e.Header.Get("Retry-After"))
	}
	if _, resp, err := r.trySocket("/x", nil, bearer(raw)); err == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a socket: %v", err)
	}
	now := time.Now().Unix()
	old := accessToken(p, "ada", "s", map[string]any{"iat": now - 120, "exp": now + 60})
	if e := r.get("/x", bearer(old)); e.StatusCode != 401 || e.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("an older token: %d", e.StatusCode)
	}
	if n := p.Fetches(idptest.JWKS); n != 1 {
		t.Errorf("%d fetches", n)
	}
}
