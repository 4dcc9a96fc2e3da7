package attack

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// TestR13_LenientPathVectors checks that paths of real applications arrive
// unchanged, and that paths that may lead elsewhere are refused. Servers may
// interpret all of these paths differently. Either all routes of the gateway
// have the same rules, or the route allows such paths.
func TestR13_LenientPathVectors(t *testing.T) {
	vectors := wstest.Vectors(t, "testdata/lenientpaths")
	for name, c := range map[string]struct {
		routes []proxy.Route
		isAll  bool // one route matches every path of the host
	}{
		"one_route":                 {[]proxy.Route{{Path: "/app/"}}, false},
		"all":                       {[]proxy.Route{{Path: "/"}}, true},
		"two_of_one_rule":           {[]proxy.Route{{Path: "/app/"}, {Path: "/admin/"}, {Path: "/app/x/y"}}, false},
		"public":                    {[]proxy.Route{{Path: "/", Public: true}}, true},
		"another_host":              {[]proxy.Route{{Host: host, Path: "/"}, {Host: "other.example", Path: "/", Public: true}}, true},
		"lenient_and_public":        {[]proxy.Route{{Path: "/", Public: true}, {Path: "/app/", LenientPaths: true}, {Path: "/admin/"}}, false},
		"lenient_public_and_access": {[]proxy.Route{{Path: "/admin/"}, {Path: "/app/", Public: true, LenientPaths: true}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := newGateway(t, c.routes...)
			tok := bearer(gatewayToken(t))
			for _, v := range vectors {
				raw := plain("GET", v.Text, tok)
				if v.Expect == "" {
					want := must(url.ParseRequestURI(v.Text)).RequestURI() // escapes the characters that the client has not escaped
					if got := request(t, x.forward(t, raw)).RequestURI; got != want {
						t.Errorf("%s: the backend gets %s", v, got)
					}
				} else if !c.isAll {
					x.wantStatus(t, map[string]int{raw: http.StatusBadRequest})
				}
			}
		})
	}
}

// TestR13_ReadingsWithOtherRules checks that the gateway refuses the same
// paths of real applications if the routes of the host have different rules.
// The answer names the setting that allows them.
func TestR13_ReadingsWithOtherRules(t *testing.T) {
	for name, routes := range map[string][]proxy.Route{
		"public":        {{Path: "/", Public: true}, {Path: "/app/"}},
		"below_public":  {{Path: "/app/", Public: true}, {Path: "/app/admin/"}},
		"scopes":        {{Path: "/app/"}, {Path: "/admin/", Scopes: []string{"x"}}},
		"claims":        {{Path: "/app/"}, {Path: "/admin", Claims: map[string][]string{"role": {"x"}}}},
		"optional":      {{Path: "/app/", Requirement: wsauth.Optional}, {Path: "/admin/"}},
		"sockets":       {{Path: "/", Public: true}, {Path: "/ws", Public: true, Sockets: true}},
		"any_host":      {{Host: host, Path: "/app/"}, {Path: "/", Public: true}},
		"wildcard_host": {{Host: host, Path: "/app/"}, {Host: "*.example", Path: "/", Public: true}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newGateway(t, routes...)
			tok := bearer(gatewayToken(t))
			for _, v := range wstest.Vectors(t, "testdata/lenientpaths") {
				if v.Expect != "" {
					continue
				}
				if a := x.send(t, plain("GET", v.Text, tok)); a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, "lenient_paths") {
					t.Errorf("%s: got %d %s, want 400 that names lenient_paths", v, a.StatusCode, a.body)
				}
				if logged := x.log.Take(); !strings.Contains(logged, "lenient_paths of the route would accept it") {
					t.Errorf("%s: the log does not name the setting: %s", v, logged)
				}
				x.wantNoSocket(t, v.String(), upgrade(v.Text, tok), wsauth.InvalidRequest)
			}
			if seen := x.takeRequests(); len(seen) > 0 {
				t.Errorf("the backend got %q, want nothing", seen)
			}
		})
	}
}

// TestR13_ReadingsOfSockets checks that sockets open at paths of real
// applications.
func TestR13_ReadingsOfSockets(t *testing.T) {
	x := newGateway(t, proxy.Route{Path: "/app/"})
	for _, path := range []string{"/app/room%2Fone", "/app/room;x=1", "/app/a//b"} {
		x.forward(t, upgrade(path, bearer(gatewayToken(t))))
		x.wantNoSocket(t, path, upgrade(path), wsauth.TokenMissing)
	}
}

// TestR13_EscapedSlashes checks that paths with an escaped slash and a
// character that is not allowed in paths are refused if the routes have
// different rules, and otherwise keep the escaped slash. net/url decodes the
// slash of such a path.
func TestR13_EscapedSlashes(t *testing.T) {
	x := newGateway(t)
	for _, path := range []string{
		"/public%2Fx|", "/public%2fx|", "/public%2Fx\xe6\x97\xa5", "/public%2Fx[\"]", "/public/x%2Fy|", "/public%5Cx|", "/public%3Bx^",
	} {
		x.wantStatus(t, map[string]int{plain("GET", path): http.StatusBadRequest})
	}
	x = newGateway(t, proxy.Route{Path: "/", Public: true})
	for path, want := range map[string]string{"/a%2Fb|c": "/a%2Fb%7Cc", "/a%2fb\xe6\x97\xa5": "/a%2fb%E6%97%A5", "/a|b": "/a%7Cb", "/a%20b": "/a%20b"} {
		if got := request(t, x.forward(t, plain("GET", path))).RequestURI; got != want {
			t.Errorf("%s: the backend gets %s", path, got)
		}
	}
}
