package gateway

import (
	"slices"
	"testing"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// TestTicketsWithoutOrigin checks which origins a ticket is valid for. A client
// that requests a ticket without an Origin and with a token in a header is not
// a browser: it may open its socket with any origin of the route, as React
// Native does, or without one. Every other ticket opens only sockets with the
// Origin of its request; if that had none, only sockets without an Origin.
func TestTicketsWithoutOrigin(t *testing.T) {
	b := newBackend(t)
	const ours, partner, evil = "http://localhost:5173", "https://partner.example", "https://evil.example"
	r := start(t, func(c *Config) {
		c.Origins = []string{ours}
		c.Routes = []proxy.Route{
			{Path: "/chat", Upstreams: []string{b.URL}},
			{Path: "/embed", Upstreams: []string{b.URL}, Origins: []string{partner}},
			{Path: "/any", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.Ticket{}, wsauth.Header{}}, AnyOrigin: true},
		}
	})
	access, _ := r.Login()
	csrf, _ := r.LoginCookies()
	for _, by := range []struct {
		name  string
		lines []string
		bound bool // to the Origin of the ticket request
	}{
		{"header", []string{bearer(access)}, false},
		{"header from a page", []string{bearer(access), "Origin: " + ours}, true},
		{"cookie", []string{"X-CSRF-Token: " + csrf}, true},
		{"cookie and Basic", []string{"X-CSRF-Token: " + csrf, basic}, true},
		{"cookie from a page", []string{"X-CSRF-Token: " + csrf, "Origin: " + ours}, true},
	} {
		for path, allowed := range map[string][]string{"/chat": {"", ours}, "/embed": {"", partner}, "/any": {"", ours, partner, evil}} {
			for _, from := range []string{"", ours, partner, evil} {
				jar := r.HTTP.Jar
				if by.name[0] == 'h' {
					r.HTTP.Jar = nil // a request has one credential
				}
				e := r.Call("POST", "/auth/ticket", `{"path":"`+path+`"}`, append(by.lines, jsonType)...)
				r.HTTP.Jar = jar
				if e.StatusCode != 200 {
					t.Fatalf("%s: got %d %s, want 200", by.name, e.StatusCode, e.Text)
				}
				lines := slices.Clone(upgradeLines)
				if from != "" {
					lines = append(lines, "Origin: "+from)
				}
				asked := ""
				if slices.Contains(by.lines, "Origin: "+ours) {
					asked = ours
				}
				want := 401
				switch {
				case !slices.Contains(allowed, from):
					want = 403
				case !by.bound || from == asked:
					want = 101
				}
				e = r.callUnchanged("GET "+path+"?ticket="+e.Decode(t)["ticket"].(string)+" HTTP/1.1", lines...)
				if e.StatusCode != want {
					t.Errorf("%s, %s from %q: %d %s, want %d", by.name, path, from, e.StatusCode, e.Text, want)
				}
			}
		}
	}
}
