package gateway

import (
	"net/http"
	"testing"

	"wsauth/internal/gateway/proxy"
)

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
	access, _ := r.login()
	for _, c := range []struct {
		path, origin string
		allowed      bool
	}{
		{"/chat", "https://app.example", true},
		{"/chat", "https://partner.example", false},
		{"/chat", r.url, false}, // not even the own, where others are named
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
			wantProblem(t, e, http.StatusForbidden, "origin_not_allowed", "Origin")
		}
		if opened := e.StatusCode == http.StatusSwitchingProtocols; opened != c.allowed || b.count()-n != map[bool]int{true: 1}[c.allowed] {
			t.Errorf("%s from %q: %d %s, and the upstream has %d more", c.path, c.origin, e.StatusCode, e.body, b.count()-n)
		}
	}
}
