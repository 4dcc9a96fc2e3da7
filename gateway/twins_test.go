package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"wsauth"
)

// loosely are ways to write a path that some servers take for the path itself,
// without its exact twin.
func loosely(path string) []string {
	bare := strings.TrimSuffix(path, "/")
	first, rest := bare[:2], bare[2:]
	escaped := "/%" + string("0123456789abcdef"[bare[1]>>4]) + string("0123456789abcdef"[bare[1]&15])
	all := []string{}
	for _, p := range []string{strings.ToUpper(bare), strings.ToUpper(first) + rest, escaped + strings.ToUpper(rest), "/" + string(rune(bare[1])-'!'+'\uff01') + rest} {
		all = append(all, p, p+"/", p+"?x=1", p+"/?x=1")
	}
	for _, end := range []string{"%3f", "%3fx=1", "%23", "%23x", "/%3f", "/%23/x", "%3F/", ".", "%20", "/.%20", "/%20", "\uff1fx", "\uff0f", "\uff03", "\u00a0", "%E3%80%80", "\u2028", "\ufeff", "\u200b", "\u00ad/"} {
		all = append(all, bare+end)
	}
	if letter := bare[1] | 0x20; letter >= 'a' && letter <= 'z' {
		circled := string(rune(letter) - 'a' + '\u24d0')
		all = append(all, "/"+circled+rest, "/\u200c"+bare[1:])
	}
	if apart := norm.NFD.String(bare); apart != bare {
		all = append(all, apart, apart+"/", apart+"?x=1")
	}
	return all
}

// TestTwins: what differs from the path of a guarded route by a slash at its
// end is sent there, and what some servers take for it is refused. Neither
// reaches an upstream by a weaker rule, whatever it is and at whatever level.
func TestTwins(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	strict := map[string][]string{"role": {"admin"}}
	for name, c := range map[string]struct {
		routes  []Route
		guarded string // path of the route that is not to be bypassed
		host    string
	}{
		"prefix":                      {[]Route{{Path: "/", Public: true}, {Path: "/admin/"}}, "/admin/", ""},
		"exact":                       {[]Route{{Path: "/", Public: true}, {Path: "/admin"}}, "/admin", ""},
		"prefix, deep":                {[]Route{{Path: "/", Public: true}, {Path: "/a/b/c/"}}, "/a/b/c/", ""},
		"exact, deep":                 {[]Route{{Path: "/", Public: true}, {Path: "/a/b/c"}}, "/a/b/c", ""},
		"prefix below public":         {[]Route{{Path: "/"}, {Path: "/pub/", Public: true}, {Path: "/pub/a/"}}, "/pub/a/", ""},
		"prefix, weaker":              {[]Route{{Path: "/"}, {Path: "/admin/", Claims: strict}}, "/admin/", ""},
		"exact, weaker":               {[]Route{{Path: "/"}, {Path: "/admin", Claims: strict}}, "/admin", ""},
		"prefix, optional":            {[]Route{{Path: "/", Requirement: wsauth.Optional}, {Path: "/admin/"}}, "/admin/", ""},
		"prefix, fresh":               {[]Route{{Path: "/"}, {Path: "/admin/", Requirement: wsauth.Fresh}}, "/admin/", ""},
		"prefix of a host":            {[]Route{{Path: "/", Public: true}, {Host: "app.example", Path: "/admin/"}}, "/admin/", "app.example"},
		"exact of a host":             {[]Route{{Host: "app.example", Path: "/", Public: true}, {Host: "app.example", Path: "/admin"}}, "/admin", "APP.example:8443"},
		"prefix of hosts":             {[]Route{{Path: "/", Public: true}, {Host: "*.example", Path: "/admin/"}}, "/admin/", "b.app.example."},
		"in capitals":                 {[]Route{{Path: "/", Public: true}, {Path: "/Admin/"}}, "/Admin/", ""},
		"not in ASCII":                {[]Route{{Path: "/", Public: true}, {Path: "/café/"}}, "/caf%C3%A9/", ""},
		"beside another with a slash": {[]Route{{Path: "/", Public: true}, {Path: "/admin/"}, {Path: "/adm/", Public: true}}, "/admin/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.routes {
				c.routes[i].Upstreams = at
				c.routes[i].Sockets = c.routes[i].Public
			}
			r := start(t, func(config *Config) { config.Routes = c.routes })
			_, refresh := r.login()
			access, _ := r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh))) // one that is not fresh
			host := "Host: app.example"
			if c.host != "" {
				host = "Host: " + c.host
			}
			n := b.count()
			for _, who := range [][]string{{host}, {host, bearer(access)}} {
				twin := c.guarded + "/"
				if bare, ok := strings.CutSuffix(c.guarded, "/"); ok {
					twin = bare
				}
				for query, want := range map[string]string{"": "", "?": "", "?x=1&y=//evil.example": "?x=1&y=//evil.example", "?a%0d%0aX:y": "?a%0d%0aX:y"} {
					for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
						e := r.exactly(method+" "+twin+query+" HTTP/1.1", append(slices.Clone(who), "Connection: close", "Content-Length: 0")...)
						if e.StatusCode != http.StatusTemporaryRedirect || e.Header.Get("Location") != c.guarded+want || e.Header.Get("Cache-Control") != "no-store" || e.body != "" {
							t.Errorf("%s %s: %d %v %q", method, twin+query, e.StatusCode, e.Header, e.body)
						}
					}
				}
				for _, offer := range []string{"Upgrade: websocket", "Upgrade: WebSocket", "Upgrade: tcp"} {
					if e := r.exactly("GET "+twin+" HTTP/1.1", append(swap(upgradeLines, "Upgrade: ", offer), who...)...); e.StatusCode != http.StatusBadRequest || !e.Close {
						t.Errorf("%s: a handshake: %d", twin, e.StatusCode)
					}
				}
				for _, path := range loosely(strings.ReplaceAll(c.guarded, "%C3%A9", "é")) {
					own := slices.IndexFunc(c.routes, func(r Route) bool { return (&url.URL{Path: r.Path}).EscapedPath() == c.guarded })
					u, err := url.ParseRequestURI(path)
					if err != nil {
						t.Fatal(err)
					}
					if to := c.routes[own].Path; u.Path == to || strings.HasSuffix(to, "/") && strings.HasPrefix(u.Path, to) || isTwin(u.Path, to) && u.RawPath == "" {
						continue // the route itself, what is below it, or the twin
					}
					if e := r.get(path, who...); e.StatusCode != http.StatusBadRequest {
						t.Errorf("%s: %d", path, e.StatusCode)
					}
					if e := r.exactly("GET "+path+" HTTP/1.1", append(slices.Clone(upgradeLines), who...)...); e.StatusCode != http.StatusBadRequest || !e.Close {
						t.Errorf("%s: a handshake: %d", path, e.StatusCode)
					}
				}
			}
			if got := b.count() - n; got != 0 {
				t.Errorf("the backend has %d requests, the last for %s", got, b.last().RequestURI)
			}
		})
	}
}

// TestTwinsOverHTTP2 are the same.
func TestTwinsOverHTTP2(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	r, _ := overTLS(t, func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstreams: at, Public: true}, {Path: "/admin/", Upstreams: at}}
	})
	for path, want := range map[string]int{"/admin": 307, "/admin?x=1": 307, "/Admin": 400, "/admin%3f": 400, "/%25%37%33ecret": 400} {
		resp, err := r.client.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s %d, want %d", path, resp.Proto, resp.StatusCode, want)
		}
	}
	if n := b.count(); n != 0 {
		t.Errorf("the backend has %d requests", n)
	}
}

// TestTwinsThatAreRoutes: where the routes name both, each path is for its
// own. What is written otherwise is still refused.
func TestTwinsThatAreRoutes(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	r := start(t, func(c *Config) {
		c.Routes = []Route{
			{Path: "/", Upstreams: at, Public: true}, {Path: "/admin", Upstreams: at, Public: true}, {Path: "/admin/", Upstreams: at},
			{Path: "/ws", Upstreams: at}, {Path: "/ws/", Upstreams: at},
		}
	})
	for path, want := range map[string]int{
		"/admin": 200, "/admin?x": 200, "/admin/": 401, "/admin/x": 401, "/Admin": 400, "/ADMIN/": 400, "/admin%3f": 400, "/Admin/x": 400,
		"/ws": 401, "/ws/": 401, "/ws/x": 401, "/WS": 400, "/Ws/": 400,
	} {
		if e := r.get(path); e.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, e.StatusCode, want)
		}
	}
}

// TestTwinsThatLeadNowhere: public routes have no twins to keep clients from,
// and what is no route at all stays so.
func TestTwinsThatLeadNowhere(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	r := start(t, func(c *Config) {
		c.Routes = []Route{{Path: "/a/", Upstreams: at}, {Path: "/b/", Upstreams: at, Public: true}, {Path: "/b/c/", Upstreams: at, Public: true}}
	})
	for path, want := range map[string]int{"/a": 404, "/A/": 404, "/b": 404, "/b/c": 200, "/b/C": 200, "/b/C%3f": 200} {
		if e := r.get(path); e.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, e.StatusCode, want)
		}
	}
}

// isTwin reports whether two paths differ only in a final slash.
func isTwin(a, b string) bool { return a == b+"/" || b == a+"/" }
