package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wsauth"
)

// usual are paths of real applications that can be read in two ways, below a
// route /app/.
var usual = []string{
	"/app/a%2Fb", "/app/@scope%2fpkg", "/app/@scope%2Fpkg/-/pkg-1.0.0.tgz", "/app/wiki/AC%2FDC", "/app/api/v4/projects/group%2Fproject/x?y=%2F",
	"/app/api/queues/%2F/name", "/app/api/queues/%2f", "/app/page;jsessionid=1", "/app/heroes;id=15;foo=a/x", "/app/proxy/https://app.example/x", "/app/s3//a///b",
	"/app/DOMAIN%5Cuser", "/app/%3Clogstash-%7Bnow%2Fd%7D%3E/_search", "/app/http%3A%2F%2Fx", "/app/a%3Bb", "/app/;x", "/app//", "/app/caf%C3%A9%2Fx", "/app/é;x", "/app/x%3F;y",
}

// twofold are paths that no setting makes one.
var twofold = []string{
	"/app/..%2fadmin", "/app/%2e%2e%2fadmin", "/app/..;/admin", "/app/..;x=1/admin", "/app/.;/x", "/app/%2e;/x", "/app/..%5cadmin", `/app/..\admin`, "/app/..%3b/admin", "/app/x/..//admin", "/app/..//admin",
	"//app/x", "//evil.example/app/x", `/\app/x`, "/%5capp/x", "/%2fapp/x", "/;x/app/y", "/app%2Fx", "/app;x", "/app;x/y", "/app//..%2fx", "/app/%20;x/y", "/app/...%2fx",
	"/app/%2573;x", "/app/%252f%2f", "/app/a%00%2f", "/app/a%0a;x", "/app/%c0%af%2f", "/app/%ff;", "/app/x%2f%2e%2e", "/app/．．%2fx", "/app/．．;/x", "/app/%ef%bc%8573%2f", "/app/‥%2fx",
	"/auth//login", "/auth%2flogin", "/auth;x/login", "/auth/login;x", "/auth%2f..%2fapp/x", "/.well-known%2fjwks.json", "/admin%2fx", "/ADMIN//x", "/admin;x",
}

// TestR13_ReadingsOfOneRule: where all routes of a host let in the same
// clients, what real applications have in their paths reaches them as it is.
func TestR13_ReadingsOfOneRule(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	for name, routes := range map[string][]Route{
		"one route":                    {{Path: "/app/"}},
		"all":                          {{Path: "/"}},
		"two of one rule":              {{Path: "/app/"}, {Path: "/admin/"}, {Path: "/app/x/y"}},
		"public":                       {{Path: "/", Public: true}},
		"another host":                 {{Host: "app.example", Path: "/"}, {Host: "other.example", Path: "/", Public: true}},
		"lenient beside public":        {{Path: "/", Public: true}, {Path: "/app/", LenientPaths: true}, {Path: "/admin/"}},
		"lenient public beside access": {{Path: "/admin/"}, {Path: "/app/", Public: true, LenientPaths: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range routes {
				routes[i].Upstreams = at
			}
			r := start(t, func(c *Config) { c.Routes = routes })
			access, _ := r.login()
			for _, p := range usual {
				e := r.exactly("GET "+p+" HTTP/1.1", "Host: app.example", bearer(access), "Connection: close")
				want := must(url.ParseRequestURI(p)).RequestURI() // escaped where the client has left that out
				if e.StatusCode != http.StatusOK || b.last().RequestURI != want {
					t.Errorf("%s: %d %s, the backend has %s", p, e.StatusCode, e.body, b.last().RequestURI)
				}
			}
			if name == "all" || name == "public" || name == "another host" {
				return // each of the others is a path of the one route as well
			}
			n := b.count()
			for _, p := range twofold {
				if e := r.exactly("GET "+p+" HTTP/1.1", "Host: app.example", bearer(access), "Connection: close"); e.StatusCode != http.StatusBadRequest {
					t.Errorf("%s: %d %s", p, e.StatusCode, e.body)
				}
			}
			if got := b.count() - n; got != 0 {
				t.Errorf("the backend has %d requests, the last for %s", got, b.last().RequestURI)
			}
		})
	}
}

// TestR13_ReadingsBesideOtherRules: a host whose routes differ takes no such
// path, and says what would.
func TestR13_ReadingsBesideOtherRules(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	for name, routes := range map[string][]Route{
		"public":        {{Path: "/", Public: true}, {Path: "/app/"}},
		"below public":  {{Path: "/app/", Public: true}, {Path: "/app/admin/"}},
		"scopes":        {{Path: "/app/"}, {Path: "/admin/", Scopes: []string{"x"}}},
		"claims":        {{Path: "/app/"}, {Path: "/admin", Claims: map[string][]string{"role": {"x"}}}},
		"optional":      {{Path: "/app/", Requirement: wsauth.Optional}, {Path: "/admin/"}},
		"sockets":       {{Path: "/", Public: true}, {Path: "/ws", Public: true, Sockets: true}},
		"any host":      {{Host: "app.example", Path: "/app/"}, {Path: "/", Public: true}},
		"wildcard host": {{Host: "app.example", Path: "/app/"}, {Host: "*.example", Path: "/", Public: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range routes {
				routes[i].Upstreams = at
			}
			r := start(t, func(c *Config) { c.Routes = routes })
			access, _ := r.login()
			for _, p := range usual {
				e := r.exactly("GET "+p+" HTTP/1.1", "Host: app.example", bearer(access), "Connection: close")
				if e.StatusCode != http.StatusBadRequest || !strings.Contains(e.body, "lenient_paths") {
					t.Errorf("%s: %d %s", p, e.StatusCode, e.body)
				}
				if e := r.exactly("GET "+p+" HTTP/1.1", append(slices.Clone(upgradeLines), bearer(access))...); e.StatusCode != http.StatusBadRequest || !e.Close {
					t.Errorf("%s: a handshake: %d %s", p, e.StatusCode, e.body)
				}
			}
			if n := b.count(); n != 0 {
				t.Errorf("the backend has %d requests, the last for %s", n, b.last().RequestURI)
			}
			if !strings.Contains(r.log.String(), "lenient_paths of the route takes it") {
				t.Errorf("not logged: %s", r.log)
			}
		})
	}
}

// TestR13_ReadingsOfSockets: sockets open at such paths as well.
func TestR13_ReadingsOfSockets(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) { c.Routes = []Route{{Path: "/app/", Upstreams: []string{b.URL}}} })
	access, _ := r.login()
	for _, p := range []string{"/app/room%2Fone", "/app/room;x=1", "/app/a//b"} {
		r.echoOf(r.socket(p, bearer(access)), "hello")
		if e := r.exactly("GET "+p+" HTTP/1.1", upgradeLines...); e.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", p, e.StatusCode)
		}
	}
}
