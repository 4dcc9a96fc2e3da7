package proxy

import (
	"strings"
	"testing"

	"wsauth"
)

// TestCORSWarnings checks the warnings about policies that probably allow more,
// or less, than intended.
func TestCORSWarnings(t *testing.T) {
	const (
		at       = "http://127.0.0.1:9000"
		corsApp  = "https://app.example.com"
		corsEvil = "https://evil.example"
	)
	route := func(change func(*Route)) []Route {
		r := Route{Path: "/", Upstreams: []string{at}}
		change(&r)
		return []Route{r}
	}
	named := func(host string, origins ...string) []Route {
		return route(func(r *Route) { r.Host, r.Origins = host, origins })
	}
	ownPaths := func(c *CORS) OwnPaths { return OwnPaths{Prefix: "/auth", CORS: c} }
	for name, c := range map[string]struct {
		routes []Route
		site   Site
		want   []string
	}{
		"public":             {route(func(r *Route) { r.Public, r.CORS = true, &CORS{Origins: []string{corsApp}} }), Site{Own: ownPaths(nil)}, nil},
		"public, cookies":    {route(func(r *Route) { r.Public, r.CORS = true, &CORS{Origins: []string{corsApp}, Credentials: true} }), Site{Own: ownPaths(nil)}, []string{"Routes[0].CORS.Credentials: the route is public"}},
		"http":               {route(func(r *Route) { r.CORS = &CORS{Origins: []string{"http://a.example"}, Credentials: true} }), Site{Own: ownPaths(nil)}, []string{"Routes[0].CORS.Origins[0]: an attacker on the network"}},
		"http, no cookies":   {route(func(r *Route) { r.CORS = &CORS{Origins: []string{"http://a.example"}} }), Site{Own: ownPaths(nil)}, nil},
		"http here":          {nil, Site{Own: ownPaths(&CORS{Origins: []string{"http://localhost:5173", "http://127.0.0.1:3000"}, Credentials: true})}, nil},
		"http, logins":       {nil, Site{Own: ownPaths(&CORS{Origins: []string{corsApp, "http://a.example"}, Credentials: true})}, []string{"AuthCORS.Origins[1]: an attacker"}},
		"one origin":         {nil, Site{Own: ownPaths(nil), Origins: []string{corsApp}}, nil},
		"two":                {nil, Site{Own: ownPaths(nil), Origins: []string{corsApp, corsEvil}}, []string{"Origins[1]: pages of https://evil.example can open sockets, but can neither fetch"}},
		"two, granted":       {nil, Site{Own: ownPaths(&CORS{Origins: []string{corsEvil}}), Origins: []string{corsApp, corsEvil}}, nil},
		"two, one granted":   {nil, Site{Own: ownPaths(&CORS{Origins: []string{corsEvil}}), Origins: []string{corsApp, corsEvil, "https://b.example"}}, []string{"Origins[2]"}},
		"two, by a pattern":  {nil, Site{Own: ownPaths(&CORS{Origins: []string{"https://*.example.com"}}), Origins: []string{corsEvil, corsApp}}, nil},
		"www":                {nil, Site{Own: ownPaths(nil), Origins: []string{"https://www.a.example", "https://a.example"}}, nil},
		"the route's host":   {named("app.example.com"), Site{Own: ownPaths(nil), Origins: []string{corsApp}}, nil},
		"hosts of the route": {named("*.example.com"), Site{Own: ownPaths(nil), Origins: []string{corsApp}}, nil},
		"another host":       {named("api.example.com", corsApp), Site{Own: ownPaths(nil)}, []string{"Routes[0].Origins[0]: pages of https://app.example.com can open sockets, but"}},
		"the issuer's":       {nil, Site{Own: ownPaths(nil), Origins: []string{corsApp}, Issuer: "https://app.example.com"}, nil},
		"another issuer":     {nil, Site{Own: ownPaths(nil), Origins: []string{corsApp}, Issuer: "https://api.example.com"}, []string{"Origins[0]"}},
		"no logins":          {named(""), Site{Own: OwnPaths{}, Origins: []string{corsApp, corsEvil}}, nil},
		"public sockets":     {route(func(r *Route) { r.Public, r.Sockets = true, true }), Site{Own: ownPaths(nil), Origins: []string{corsApp, corsEvil}}, nil},
		"no tickets":         {route(func(r *Route) { r.Extractors = []wsauth.Extractor{wsauth.Subprotocol{}} }), Site{Own: ownPaths(nil), Origins: []string{corsApp, corsEvil}}, nil},
		"nothing is known":   {named("", corsApp, corsEvil), Site{Own: ownPaths(nil)}, nil},
	} {
		got := warningsOf(c.routes, c.site)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			ok = ok && strings.HasPrefix(got[i], c.want[i])
		}
		if !ok {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
