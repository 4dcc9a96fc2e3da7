package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/idp"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/idptest"
	"wsauth/token"
)

// wantOpen checks that a socket is open.
func (r *rig) wantOpen(conn *websocket.Conn) {
	r.T.Helper()
	r.Write(conn, "still here?")
	if answer, err := r.Read(conn); err != nil {
		r.T.Errorf("the socket has ended: %q, %v", answer, err)
	}
}

func withProvider(p *idptest.Provider) func(*Config) {
	return func(c *Config) {
		c.Tokens.Providers = []*idp.Provider{must(idp.New(idp.Config{
			Preset: idp.Standard, Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp",
		}))}
	}
}

// withProviderRoute trusts a provider whose tokens have roles like those of
// Keycloak, and serves one route.
func withProviderRoute(p *idptest.Provider, route proxy.Route) func(*Config) {
	return func(c *Config) {
		c.Tokens.Keys = must(token.NewKeySet(must(token.GenerateKey(token.ES256))))
		c.Tokens.Providers = []*idp.Provider{must(idp.New(idp.Config{
			Preset: idp.Standard, Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp", Profile: &token.Profile{Roles: "/realm_access/roles"},
		}))}
		c.Routes = []proxy.Route{route}
	}
}

// TestProviderOpensAndEndsSockets checks that a socket opened with a
// provider's token ends when the provider says so, and no other socket does.
func TestProviderOpensAndEndsSockets(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	ada, bob := p.AccessToken("ada", "s-ada", nil), p.AccessToken("bob", "s-bob", nil)
	own, _ := r.Login()
	adaConn, bobConn, ownConn := r.openEcho(ada), r.openEcho(bob), r.openEcho(own)

	form := url.Values{"logout_token": {p.LogoutToken("ada", "s-ada")}}.Encode()
	if e := r.Call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 200 {
		t.Fatalf("got %d %s, want %v", e.StatusCode, e.Text, 200)
	}
	r.WantClose(adaConn, 3000, "session_ended")
	r.Call("GET", "/auth/session", "", bearer(ada)).WantEnded(t)
	if e := r.Call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 400 {
		t.Errorf("the same logout token again: %d", e.StatusCode)
	}
	r.wantOpen(bobConn)
	r.wantOpen(ownConn)
}

// TestProviderTokensThatAreNotForUs checks that only access tokens that the
// provider issued for us are accepted.
func TestProviderTokensThatAreNotForUs(t *testing.T) {
	p, other := idptest.New(t), idptest.New(t)
	r := start(t, withProvider(p))
	for name, raw := range map[string]string{
		"ID token":                        p.AccessToken("ada", "s", map[string]any{"typ": "JWT"}),
		"refresh token":                   p.AccessToken("ada", "s", map[string]any{"typ": "rt+jwt"}),
		"other audience":                  p.AccessToken("ada", "s", map[string]any{"aud": "account"}),
		"expired":                         p.AccessToken("ada", "s", map[string]any{"exp": time.Now().Unix() - 60, "iat": time.Now().Unix() - 120}),
		"unknown issuer":                  other.AccessToken("ada", "s", nil),
		"J27 key of another, same kid":    other.AccessToken("ada", "s", map[string]any{"iss": p.Issuer()}),
		"J27 issuer with a slash":         p.AccessToken("ada", "s", map[string]any{"iss": p.Issuer() + "/"}),
		"J27 no issuer":                   p.AccessToken("test", "s", map[string]any{"iss": nil}),
		"logout token as an access token": p.LogoutToken("ada", "s"),
	} {
		reason := "token_invalid"
		if name == "expired" {
			reason = "token_expired"
		}
		e := r.Call("GET", "/auth/session", "", bearer(raw))
		if got := e.Decode(t)["reason"]; e.StatusCode != 401 || got != reason {
			t.Errorf("%s: got %d %s, want 401 %s", name, e.StatusCode, e.Text, reason)
		}
	}
}

// TestProviderTokensAtOurEndpoints checks that refresh, step-up and logout
// accept only our own sessions: they have no effect on those of providers.
func TestProviderTokensAtOurEndpoints(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	raw := p.AccessToken("test", "s", map[string]any{"type": "refresh"})
	r.Call("POST", "/auth/refresh", "", bearer(raw)).WantProblem(t, 403, "wrong_token_type", "")
	r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(raw)).WantProblem(t, 401, "bad_credentials", "")
	own, _ := r.Login()
	conn := r.openEcho(own)
	if e := r.Call("POST", "/auth/logout-everywhere", "", bearer(raw)); e.StatusCode != 200 || e.Text != `{"sessions":0,"sockets":0}` {
		t.Errorf("logout everywhere: %d %s", e.StatusCode, e.Text)
	}
	r.wantOpen(conn)
}

// TestLogoutTokenWithMoreEvents checks that a logout token may contain other
// events in addition to the logout (RFC 8417 section 2.2). Keycloak sends one
// when offline sessions end.
func TestLogoutTokenWithMoreEvents(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	const logout = "http://schemas.openid.net/event/backchannel-logout"
	for i, events := range []map[string]any{
		{logout: map[string]any{}, "revoke_offline_access": true},
		{logout: map[string]any{}, "https://schemas.example/event": map[string]any{"x": 1}, "a": nil, "b": "text"},
	} {
		user := fmt.Sprint("user", i)
		raw := p.AccessToken(user, "s-"+user, nil)
		conn := r.openEcho(raw)
		now := time.Now().Unix()
		logoutToken := p.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
			"sub": user, "sid": "s-" + user, "aud": "chat", "jti": user, "iat": now, "exp": now + 60, "events": events,
		})
		form := url.Values{"logout_token": {logoutToken}}.Encode()
		if e := r.Call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 200 {
			t.Fatalf("%v: got %d %s, want %v", events, e.StatusCode, e.Text, 200)
		}
		r.WantClose(conn, 3000, "session_ended")
		r.Call("GET", "/auth/session", "", bearer(raw)).WantEnded(t)
	}
}

// TestLogoutOfATokenWithoutNames checks that a token without sid and jti can be
// logged out like any other. Its sockets end, it is refused from then on, and
// operators can list and revoke it.
func TestLogoutOfATokenWithoutNames(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	r := start(t, withProviderRoute(p, proxy.Route{Path: "/", Upstreams: []string{b.URL}, Headers: map[string]string{"X-Jti": "jti"}}))
	unnamed := func(n int) string {
		return p.AccessToken("ada", "s", map[string]any{"jti": nil, "sid": nil, "n": n})
	}
	first, second := unnamed(1), unnamed(2)
	one, other := r.socket("/x", bearer(first)), r.socket("/x", bearer(second))
	r.WantEcho(one, "hello")
	if e := r.get("/x", bearer(first)); e.StatusCode != 200 || b.last().Header.Get("X-Jti") != "" {
		t.Errorf("got %d, and the upstream %v; want 200, and no X-Jti", e.StatusCode, b.last().Header)
	}
	ticket := r.Ticket(first)
	if e := r.Call("POST", "/auth/logout", "", bearer(first)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", e.StatusCode, e.Text)
	}
	r.WantClose(one, 3000, "token_revoked")
	r.Call("GET", "/auth/session", "", bearer(first)).WantEnded(t)
	r.callUnchanged("GET /x HTTP/1.1", append([]string{bearer(first)}, upgradeLines...)...).WantEnded(t)
	site := []string{"Host: " + strings.TrimPrefix(r.URL, "http://"), "Origin: " + r.URL}
	r.callUnchanged("GET /ws?ticket="+ticket+" HTTP/1.1", append(site, upgradeLines...)...).WantEnded(t)
	r.WantEcho(other, "still here?")
	o := r.operator()
	sockets := o.get("/v1/sockets")["sockets"].([]any)
	if len(sockets) != 1 {
		t.Fatalf("operators see %v", sockets)
	}
	name, _ := sockets[0].(map[string]any)["jti"].(string)
	if v := o.revoke(`{"token":` + quoteJSON(t, name) + `}`); name == "" || v["sockets"] != float64(1) {
		t.Errorf("%q is revoked: %v", name, v)
	}
	r.WantClose(other, 3000, "token_revoked")
	r.Call("GET", "/auth/session", "", bearer(second)).WantEnded(t)
	if log := r.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log has an error:\n%s", log)
	}
}

// TestTokenOfANewKey checks the answer to a token whose key the provider may
// have published after its keys were fetched. It is 503 with Retry-After, so
// that no client logs out. If the token is older than that fetch, the answer is
// 401.
func TestTokenOfANewKey(t *testing.T) {
	p := idptest.New(t)
	b := newBackend(t)
	r := start(t, withProviderRoute(p, proxy.Route{Path: "/", Upstreams: []string{b.URL}}))
	if e := r.get("/x", bearer(p.AccessToken("ada", "s", nil))); e.StatusCode != 200 {
		t.Fatalf("got %d, want %v", e.StatusCode, 200)
	}
	p.Rotate("key-2", "ES256")
	raw := p.AccessToken("ada", "s", nil)
	if e := r.get("/x", bearer(raw)); e.StatusCode != 503 || e.Header.Get("Retry-After") == "" || b.count() != 1 {
		t.Errorf("%d, Retry-After %q", e.StatusCode, e.Header.Get("Retry-After"))
	}
	if _, resp, err := r.DialPath("/x", nil, bearer(raw)); err == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a socket: %v", err)
	}
	now := time.Now().Unix()
	old := p.AccessToken("ada", "s", map[string]any{"iat": now - 120, "exp": now + 60})
	if e := r.get("/x", bearer(old)); e.StatusCode != 401 || e.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("an older token: %d", e.StatusCode)
	}
	if n := p.Fetches(idptest.JWKS); n != 1 {
		t.Errorf("%d fetches", n)
	}
}
