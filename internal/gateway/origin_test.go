package gateway

import (
	"net/http"
	"testing"

	"wsauth/internal/gateway/proxy"
)

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
		e := r.callUnchanged("GET "+c.path+" HTTP/1.1", append(lines, upgradeLines...)...)
		if !c.allowed {
			e.WantProblem(t, http.StatusForbidden, "origin_not_allowed", "Origin")
		}
		if opened := e.StatusCode == http.StatusSwitchingProtocols; opened != c.allowed || b.count()-n != map[bool]int{true: 1}[c.allowed] {
			t.Errorf("%s from %q: %d %s, and the upstream has %d more", c.path, c.origin, e.StatusCode, e.Text, b.count()-n)
		}
	}
}
