package gateway

import (
	"net/http"
	"testing"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/httpx"
	"wsauth/login"
	"wsauth/token"
)

func TestS3_CheckOrigin(t *testing.T) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{"https://app.example", "http://127.0.0.1:8000", "http://[::1]:8000", "https://[::1]", "https://app.example:80", "app://host", "capacitor://localhost", "http://[::ffff:102:304]", "http://[2001:db8::1]:8443"} {
		if err := httpx.CheckOrigin(good); err != nil {
			t.Error(err)
		}
		// Origins accepted here must also be accepted by the guard and by the
		// check of cross-origin requests.
		g, err := New(Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Login: login.Config{Users: demo.Users{}}, Origins: []string{good}})
		if err != nil {
			t.Error(err)
			continue
		}
		stop(t, g)
	}
	for _, bad := range []string{
		"", "*", "null", "https://*.example", "app.example", "//app.example", "https://", "https://app.example/", "https://app.example?",
		"https://app.example#", "https://user@app.example", "https://App.example", "HTTPS://app.example", "https://app.example:443",
		"http://app.example:80", "https://app.example:", "https://äpp.example", "https://app.example:x", " https://app.example",
		"https://app.example:0443", "https://app.example:08443", "https://app.example:00", "http://[0:0:0:0:0:0:0:1]", "http://[::ffff:1.2.3.4]", "http://[2001:db8:0:0::1]:8443", "ws://app.example", "wss://app.example:8443",
	} {
		if httpx.CheckOrigin(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestConfiguredOriginMayUseTheServer checks that pages of a configured origin
// can log in and open sockets.
func TestConfiguredOriginMayUseTheServer(t *testing.T) {
	r := start(t, func(c *Config) { c.Origins = []string{"https://app.example"} })
	e := r.Call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType, "Origin: https://app.example")
	if e.StatusCode != http.StatusOK {
		t.Fatalf("login: %d %s", e.StatusCode, e.Text)
	}
	conn := r.Open("", bearer(e.Decode(t)["access_token"].(string)), "Origin: https://app.example")
	if _, err := r.Read(conn); err != nil {
		t.Fatal(err)
	}
}

// TestS3_OriginsOfARoute checks that the origins of a route replace those of
// the gateway, whether they allow more or less, on guarded and public routes.
func TestS3_OriginsOfARoute(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.Origins = []string{"https://app.example"}
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: []string{b.URL}},
			{Path: "/embed", Upstreams: []string{b.URL}, Origins: []string{"https://partner.example"}},
			{Path: "/open", Upstreams: []string{b.URL}, Origins: []string{"https://partner.example"}, Public: true, Sockets: true},
		}
	})
	access, _ := r.Login()
	for _, c := range []struct {
		path, origin string
		allowed      bool
	}{
		{"/chat", "https://app.example", true},
		{"/chat", "https://partner.example", false},
		{"/chat", r.URL, false}, // not even its own, since others are listed
		{"/embed", "https://partner.example", true},
		{"/embed", "https://app.example", false},
		{"/embed", "https://evil.example", false},
		{"/embed", "null", false},
		{"/embed", "", true}, // no browser
		{"/open", "https://partner.example", true},
		{"/open", "https://app.example", false},
	} {
		n := b.count()
		lines := []string{bearer(access)}
		if c.origin != "" {
			lines = append(lines, "Origin: "+c.origin)
		}
		e := r.exactly("GET "+c.path+" HTTP/1.1", append(lines, upgradeLines...)...)
		if !c.allowed {
			e.WantProblem(t, http.StatusForbidden, "origin_not_allowed", "Origin")
		}
		if opened := e.StatusCode == http.StatusSwitchingProtocols; opened != c.allowed || b.count()-n != map[bool]int{true: 1}[c.allowed] {
			t.Errorf("%s from %q: %d %s, and the upstream has %d more", c.path, c.origin, e.StatusCode, e.Text, b.count()-n)
		}
	}
}
