package gateway

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/idp"
	"wsauth/internal/idptest"
)

// wantEcho wants a socket that is open.
func (r *rig) wantEcho(conn *websocket.Conn) {
	r.t.Helper()
	r.write(conn, "still here?")
	if answer, err := r.read(conn); err != nil {
		r.t.Errorf("the socket has ended: %q, %v", answer, err)
	}
}

func withProvider(p *idptest.Provider) func(*Config) {
	return func(c *Config) {
		c.Providers = []*idp.Provider{must(idp.New(idp.Config{
			Preset: idp.Standard, Issuer: p.Issuer(), Audience: []string{"chat"}, Namespace: "idp",
		}))}
	}
}

// accessToken is an access token of RFC 9068.
func accessToken(p *idptest.Provider, subject, session string, changes map[string]any) string {
	now := time.Now().Unix()
	claims := map[string]any{
		"sub": subject, "sid": session, "aud": []string{"chat", "account"}, "client_id": "shop",
		"jti": "access-" + subject, "iat": now, "exp": now + 300,
	}
	typ := "at+jwt"
	for name, v := range changes {
		if name == "typ" {
			typ = v.(string)
			continue
		}
		claims[name] = v
	}
	return p.Sign(map[string]any{"typ": typ}, claims)
}

func logoutToken(p *idptest.Provider, subject, session string) string {
	now := time.Now().Unix()
	return p.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
		"sub": subject, "sid": session, "aud": "chat", "jti": "logout-" + session, "iat": now, "exp": now + 60,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

// TestProviderOpensAndEndsSockets checks that a socket opened with a
// provider's token ends when the provider says so, and no other socket does.
func TestProviderOpensAndEndsSockets(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	ada, bob := accessToken(p, "ada", "s-ada", nil), accessToken(p, "bob", "s-bob", nil)
	own, _ := r.login()
	adaConn, bobConn, ownConn := r.echoes(ada), r.echoes(bob), r.echoes(own)

	form := url.Values{"logout_token": {logoutToken(p, "ada", "s-ada")}}.Encode()
	if e := r.call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 200 {
		t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	r.wantClose(adaConn, 3000, "session_ended")
	wantDead(t, r.call("GET", "/auth/session", "", bearer(ada)))
	if e := r.call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 400 {
		t.Errorf("the same once more: %d", e.StatusCode)
	}
	r.wantEcho(bobConn)
	r.wantEcho(ownConn)
}

// What is not an access token of the provider for us opens nothing.
func TestProviderTokensThatAreNotForUs(t *testing.T) {
	p, other := idptest.New(t), idptest.New(t)
	r := start(t, withProvider(p))
	for name, raw := range map[string]string{
		"ID token":                        accessToken(p, "ada", "s", map[string]any{"typ": "JWT"}),
		"refresh token":                   accessToken(p, "ada", "s", map[string]any{"typ": "rt+jwt"}),
		"other audience":                  accessToken(p, "ada", "s", map[string]any{"aud": "account"}),
		"expired":                         accessToken(p, "ada", "s", map[string]any{"exp": time.Now().Unix() - 60, "iat": time.Now().Unix() - 120}),
		"unknown issuer":                  accessToken(other, "ada", "s", nil),
		"J27 key of another, same kid":    accessToken(other, "ada", "s", map[string]any{"iss": p.Issuer()}),
		"J27 issuer with a slash":         accessToken(p, "ada", "s", map[string]any{"iss": p.Issuer() + "/"}),
		"J27 no issuer":                   accessToken(p, "test", "s", map[string]any{"iss": nil}),
		"logout token as an access token": logoutToken(p, "ada", "s"),
	} {
		reason := "token_invalid"
		if name == "expired" {
			reason = "token_expired"
		}
		e := r.call("GET", "/auth/session", "", bearer(raw))
		if got := e.decode(t)["reason"]; e.StatusCode != 401 || got != reason {
			t.Errorf("%s: %d %s", name, e.StatusCode, e.body)
		}
	}
}

// TestProviderTokensAtOurEndpoints checks that refresh, step-up and logout
// accept only our own sessions: they have no effect on those of providers.
func TestProviderTokensAtOurEndpoints(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	raw := accessToken(p, "test", "s", map[string]any{"type": "refresh"})
	wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(raw)), 403, "wrong_token_type", "")
	wantProblem(t, r.call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(raw)), 401, "bad_credentials", "")
	own, _ := r.login()
	conn := r.echoes(own)
	if e := r.call("POST", "/auth/logout-everywhere", "", bearer(raw)); e.StatusCode != 200 || e.body != `{"sessions":0,"sockets":0}` {
		t.Errorf("logout everywhere: %d %s", e.StatusCode, e.body)
	}
	r.wantEcho(conn)
}

// A logout token is obeyed whatever other events it has beside the logout
// (RFC 8417 section 2.2). Keycloak sends one where offline sessions end.
func TestLogoutTokenWithMoreEvents(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	const logout = "http://schemas.openid.net/event/backchannel-logout"
	for i, events := range []map[string]any{
		{logout: map[string]any{}, "revoke_offline_access": true},
		{logout: map[string]any{}, "https://schemas.example/event": map[string]any{"x": 1}, "a": nil, "b": "text"},
	} {
		user := fmt.Sprint("user", i)
		raw := accessToken(p, user, "s-"+user, nil)
		conn := r.echoes(raw)
		now := time.Now().Unix()
		token := p.Sign(map[string]any{"typ": "logout+jwt"}, map[string]any{
			"sub": user, "sid": "s-" + user, "aud": "chat", "jti": user, "iat": now, "exp": now + 60, "events": events,
		})
		form := url.Values{"logout_token": {token}}.Encode()
		if e := r.call("POST", "/auth/backchannel-logout", form, "Content-Type: application/x-www-form-urlencoded"); e.StatusCode != 200 {
			t.Fatalf("%v: %d %s", events, e.StatusCode, e.body)
		}
		r.wantClose(conn, 3000, "session_ended")
		wantDead(t, r.call("GET", "/auth/session", "", bearer(raw)))
	}
}
