package attack

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wsauth"
	"wsauth/idp"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/idptest"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// newGatewayWithProvider serves a gateway that trusts a provider. The
// provider's users get a namespace, and only the roles of a Keycloak realm.
func newGatewayWithProvider(t *testing.T, p *idptest.Provider, route proxy.Route) *gatewayTarget {
	t.Helper()
	provider := must(idp.New(idp.Config{
		Preset: idp.Standard, Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp", Profile: &token.Profile{Roles: "/realm_access/roles"},
	}))
	ours := must(token.NewKey(token.ES256, keys().ec, token.KeyOptions{ID: "own"}))
	return newGatewayOf(t, gateway.Config{
		Tokens: tokens.Config{Keys: must(token.NewKeySet(ours, keys().hs)), Providers: []*idp.Provider{provider}},
		Routes: []proxy.Route{route}, AccessLog: true,
	}, respond)
}

// payload returns the claims of a token.
func payload(t *testing.T, raw string) (claims map[string]any) {
	t.Helper()
	segments := strings.Split(raw, ".")
	if len(segments) != 3 {
		t.Fatalf("%q is not a token", raw)
	}
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(segments[1])), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// backendHeader returns the header of the request that reached the backend,
// which must be the only one.
func (x *gatewayTarget) backendHeader(t *testing.T, how string) http.Header {
	t.Helper()
	seen := x.takeRequests()
	if len(seen) != 1 {
		t.Fatalf("%s: the backend got %d requests, want 1", how, len(seen))
	}
	return request(t, seen[0]).Header
}

// TestG4_RulesSeeTheNamespace checks that a rule matches a user, a session or a
// token of a provider only by a name with the namespace.
func TestG4_RulesSeeTheNamespace(t *testing.T) {
	p := idptest.New(t)
	for _, c := range []struct {
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
		t.Run(c.claim+"/"+c.value, func(t *testing.T) {
			x := newGatewayWithProvider(t, p, proxy.Route{Path: "/", Claims: map[string][]string{c.claim: {c.value}}})
			tok := bearer(p.AccessToken("ada", "s", c.changes))
			for _, raw := range []string{plain("GET", "/x", tok), upgrade("/x", tok)} {
				if c.allowed {
					x.forward(t, raw)
				} else {
					x.wantRefused(t, raw, http.StatusForbidden)
				}
			}
		})
	}
}

// TestG4_OwnTokensHaveNoNamespace checks that rules match the names in the
// gateway's own tokens unchanged.
func TestG4_OwnTokensHaveNoNamespace(t *testing.T) {
	x := newGatewayWithProvider(t, idptest.New(t), proxy.Route{Path: "/", Claims: map[string][]string{"sub": {"ada"}}})
	x.forward(t, plain("GET", "/x", bearer(gatewayToken(t))))
}

// TestG4_DownstreamSeesTheNamespace checks that every name that leaves the
// gateway has the namespace, wherever the client sends its token.
func TestG4_DownstreamSeesTheNamespace(t *testing.T) {
	p := idptest.New(t)
	x := newGatewayWithProvider(t, p, proxy.Route{
		Path: "/", Assertion: "X-Client-Token", Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.FirstMessage{}},
		Headers: map[string]string{"X-User": "sub", "X-Sid": "sid", "X-Jti": "jti", "X-Actor": "act.sub", "X-Twin": "SUB"},
	})
	raw := p.AccessToken("ada", "s", map[string]any{"act": map[string]any{"sub": "bob"}, "SUB": "eve", "Sid": "z"})
	want := func(how string) {
		t.Helper()
		h := x.backendHeader(t, how)
		for name, value := range map[string]string{"X-User": "idp|ada", "X-Sid": "idp|s", "X-Jti": "idp|access-ada", "X-Actor": "idp|bob", "X-Twin": ""} {
			if got := h.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", how, name, got, value)
			}
		}
		asserted := payload(t, h.Get("X-Client-Token"))
		if asserted["sub"] != "idp|ada" || asserted["sid"] != "idp|s" || fmt.Sprint(asserted["act"]) != "map[sub:idp|bob]" || asserted["SUB"] != nil || asserted["Sid"] != nil {
			t.Errorf("%s: got the assertion %v", how, asserted)
		}
	}
	x.send(t, plain("GET", "/x", bearer(raw)))
	want("a plain request")
	wantEcho(t, x.socket(t, "/x", bearer(raw)), "hello")
	want("a socket")
	fromGateway := "Origin: http://" + host
	wantEcho(t, x.socket(t, "/ws?ticket="+x.ticket(t, raw, "/ws", fromGateway), fromGateway), "hello")
	want("a ticket")
	conn := x.socket(t, "/x")
	must(conn.Conn.Write(wstest.Frame(0x81, auth(raw))))
	if _, reply, err := conn.ReadFrame(); err != nil || !strings.Contains(string(reply), "auth_ok") {
		t.Fatalf("got the reply %q, %v", reply, err)
	}
	wantEcho(t, conn, "hello")
	want("a first message")

	var session map[string]any
	if err := json.Unmarshal([]byte(x.send(t, plain("GET", "/auth/session", bearer(raw))).body), &session); err != nil {
		t.Fatal(err)
	}
	if session["sub"] != "idp|ada" || session["sid"] != "idp|s" || session["jti"] != "idp|access-ada" || session["SUB"] != nil {
		t.Errorf("/auth/session returns %v", session)
	}
	if logged := x.log.Take(); strings.Contains(logged, "user=ada") || !strings.Contains(logged, "user=idp|ada") {
		t.Errorf("the log has a name without the namespace:\n%s", logged)
	}
}

// TestG5_RolesAndScopesOnlyAsMapped checks that rules, headers and assertions
// have no roles and scopes if the provider's profile finds none in the token.
// Other claims of the token change nothing.
func TestG5_RolesAndScopesOnlyAsMapped(t *testing.T) {
	p := idptest.New(t)
	behind := func(change func(*proxy.Route)) *gatewayTarget {
		route := proxy.Route{Path: "/", Assertion: "X-Client-Token", Headers: map[string]string{"X-Roles": "roles", "X-Scope": "scope", "X-Scp": "scp"}}
		change(&route)
		return newGatewayWithProvider(t, p, route)
	}
	open := behind(func(*proxy.Route) {})
	byRole := behind(func(r *proxy.Route) { r.Claims = map[string][]string{"roles": {"admin"}} })
	byTwin := behind(func(r *proxy.Route) { r.Claims = map[string][]string{"Roles": {"admin"}} })
	byScope := behind(func(r *proxy.Route) { r.Scopes = []string{"admin"} })
	byScp := behind(func(r *proxy.Route) { r.Claims = map[string][]string{"scp": {"admin"}} })

	other := map[string]any{"roles": []string{"admin"}, "Roles": []string{"admin"}, "scp": "admin", "Scope": "admin", "groups": []string{"admin"}}
	realm := func(roles any) map[string]any { return map[string]any{"roles": roles} }
	for _, c := range []struct {
		name    string
		mapped  map[string]any
		refused bool // the token is refused, because the claims are malformed
	}{
		{"absent", nil, false},
		{"null", map[string]any{"realm_access": realm(nil), "scope": nil}, false},
		{"empty", map[string]any{"realm_access": realm([]string{}), "scope": ""}, false},
		{"empty_object", map[string]any{"realm_access": map[string]any{}, "scope": " "}, false},
		{"null_on_the_way", map[string]any{"realm_access": nil}, false},
		{"text_on_the_way", map[string]any{"realm_access": "roles"}, false},
		{"array_on_the_way", map[string]any{"realm_access": []any{realm([]string{"admin"})}}, false},
		{"case_twin_on_the_way", map[string]any{"Realm_access": realm([]string{"admin"})}, false},
		{"claim_with_a_dot", map[string]any{"realm_access.roles": []string{"admin"}}, false},
		{"similar_scopes", map[string]any{"scope": "administrator Admin admi"}, false},
		{"array_in_an_array", map[string]any{"realm_access": realm([]any{[]string{"admin"}})}, true},
		{"number", map[string]any{"realm_access": realm(1)}, true},
		{"object", map[string]any{"realm_access": realm(map[string]any{"admin": true})}, true},
		{"scope_true", map[string]any{"scope": true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes := maps.Clone(other)
			maps.Copy(changes, c.mapped)
			raw := plain("GET", "/x", bearer(p.AccessToken("ada", "s", changes)))
			want := http.StatusForbidden
			if c.refused {
				want = http.StatusUnauthorized
				open.wantRefused(t, raw, want)
			} else {
				h := request(t, open.forward(t, raw)).Header
				asserted := payload(t, h.Get("X-Client-Token"))
				if h.Get("X-Roles") != "" || h.Get("X-Scp") != "" || slices.Contains(strings.Fields(h.Get("X-Scope")), "admin") ||
					asserted["roles"] != nil || asserted["Roles"] != nil || asserted["scp"] != nil || asserted["Scope"] != nil {
					t.Errorf("the backend gets %v, %v", h, asserted)
				}
			}
			for _, x := range []*gatewayTarget{byRole, byTwin, byScope, byScp} {
				x.wantRefused(t, raw, want)
			}
		})
	}

	// The rest of the test checks that rules and headers use the roles and
	// scopes that the profile finds.
	raw := plain("GET", "/x", bearer(p.AccessToken("ada", "s", map[string]any{
		"realm_access": realm([]string{"admin", "ops"}), "scope": "read admin", "roles": []string{"no"},
	})))
	byRole.forward(t, raw)
	byScope.forward(t, raw)
	h := request(t, open.forward(t, raw)).Header
	asserted := payload(t, h.Get("X-Client-Token"))
	if h.Get("X-Roles") != "admin,ops" || fmt.Sprint(asserted["roles"]) != "[admin ops]" || asserted["scope"] != "read admin" {
		t.Errorf("the backend gets %v, %v", h, asserted)
	}
}

// TestG5_ScopesWithSpaces checks that an entry of a list of scopes is a single
// scope, even if it contains spaces.
func TestG5_ScopesWithSpaces(t *testing.T) {
	p := idptest.New(t)
	x := newGatewayWithProvider(t, p, proxy.Route{Path: "/", Scopes: []string{"admin"}})
	for scope, want := range map[string]int{"read admin": 403, "admin": 200} {
		list := map[string]any{"scope": []string{scope}}
		for _, raw := range []string{p.AccessToken("ada", "s", list), gatewayTokenWith(t, list)} {
			x.wantStatus(t, map[string]int{plain("GET", "/x", bearer(raw)): want})
		}
	}
}

// TestG5_OwnTokens checks that the claims of the gateway's own tokens are used
// unchanged. These tokens have no profile.
func TestG5_OwnTokens(t *testing.T) {
	x := newGatewayWithProvider(t, idptest.New(t), proxy.Route{Path: "/", Headers: map[string]string{"X-Roles": "roles"}, Scopes: []string{"a", "b"}})
	raw := gatewayTokenWith(t, map[string]any{"roles": []string{"x", "y"}, "scope": "a", "scp": []string{"b"}})
	wantLines(t, x.forward(t, plain("GET", "/x", bearer(raw))), "X-Roles: x,y\r\n")
}

// TestG6_Lists checks that a backend gets a list whose entry contains a comma
// only in a form that it cannot misread.
func TestG6_Lists(t *testing.T) {
	tok := bearer(gatewayTokenWith(t, map[string]any{"groups": []string{"staff,admin"}}))
	route := proxy.Route{Path: "/", Headers: map[string]string{"X-Groups": "groups"}}
	for _, raw := range []string{plain("GET", "/x", tok), upgrade("/x", tok)} {
		route.HeaderLists = proxy.ListsByComma
		x := newGateway(t, route)
		x.wantRefused(t, raw, http.StatusUnauthorized)
		if logged := x.log.Take(); !strings.Contains(logged, `claim \"groups\": is a list with a comma`) {
			t.Errorf("the log does not say why:\n%s", logged)
		}
		route.HeaderLists = proxy.ListsAsJSON
		wantLines(t, newGateway(t, route).forward(t, raw), `X-Groups: ["staff,admin"]`+"\r\n")
	}
}
