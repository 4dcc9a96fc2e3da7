package attack

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"wsauth"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
)

// isTwin reports whether two paths differ only in a final slash.
func isTwin(a, b string) bool { return a == b+"/" || b == a+"/" }

// lookalikes returns paths that some servers treat as equal to path, except its
// twin.
func lookalikes(path string) []string {
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

// TestTwins checks that the gateway redirects the twin of a guarded path, which
// differs from it only in a final slash, and refuses its lookalikes. Neither
// reaches the backend by a weaker rule.
func TestTwins(t *testing.T) {
	strict := map[string][]string{"role": {"admin"}}
	for name, c := range map[string]struct {
		routes  []proxy.Route
		guarded string // path of the route that must not be bypassed
		host    string // "" is app.example
	}{
		"prefix":                   {[]proxy.Route{{Path: "/", Public: true}, {Path: "/admin/"}}, "/admin/", ""},
		"exact":                    {[]proxy.Route{{Path: "/", Public: true}, {Path: "/admin"}}, "/admin", ""},
		"prefix_deep":              {[]proxy.Route{{Path: "/", Public: true}, {Path: "/a/b/c/"}}, "/a/b/c/", ""},
		"exact_deep":               {[]proxy.Route{{Path: "/", Public: true}, {Path: "/a/b/c"}}, "/a/b/c", ""},
		"prefix_below_public":      {[]proxy.Route{{Path: "/"}, {Path: "/pub/", Public: true}, {Path: "/pub/a/"}}, "/pub/a/", ""},
		"prefix_weaker":            {[]proxy.Route{{Path: "/"}, {Path: "/admin/", Claims: strict}}, "/admin/", ""},
		"exact_weaker":             {[]proxy.Route{{Path: "/"}, {Path: "/admin", Claims: strict}}, "/admin", ""},
		"prefix_optional":          {[]proxy.Route{{Path: "/", Requirement: wsauth.Optional}, {Path: "/admin/"}}, "/admin/", ""},
		"prefix_fresh":             {[]proxy.Route{{Path: "/"}, {Path: "/admin/", Requirement: wsauth.Fresh}}, "/admin/", ""},
		"prefix_of_a_host":         {[]proxy.Route{{Path: "/", Public: true}, {Host: host, Path: "/admin/"}}, "/admin/", host},
		"exact_of_a_host":          {[]proxy.Route{{Host: host, Path: "/", Public: true}, {Host: host, Path: "/admin"}}, "/admin", "APP.example:8443"},
		"prefix_of_hosts":          {[]proxy.Route{{Path: "/", Public: true}, {Host: "*.example", Path: "/admin/"}}, "/admin/", "b.app.example."},
		"in_capitals":              {[]proxy.Route{{Path: "/", Public: true}, {Path: "/Admin/"}}, "/Admin/", ""},
		"not_in_ASCII":             {[]proxy.Route{{Path: "/", Public: true}, {Path: "/café/"}}, "/caf%C3%A9/", ""},
		"and_another_with_a_slash": {[]proxy.Route{{Path: "/", Public: true}, {Path: "/admin/"}, {Path: "/adm/", Public: true}}, "/admin/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.routes {
				c.routes[i].Sockets = c.routes[i].Public
			}
			x := newGateway(t, c.routes...)
			if c.host == "" {
				c.host = host
			}
			for _, lines := range [][]string{nil, {bearer(gatewayToken(t))}} { // the token is not fresh
				to := func(raw string) string { return strings.Replace(raw, "Host: "+host, "Host: "+c.host, 1) }
				x.wantRedirected(t, c.guarded, to, lines)
				x.wantLookalikesRefused(t, c.routes, c.guarded, to, lines)
			}
			if seen := x.takeRequests(); len(seen) > 0 {
				t.Errorf("the backend gets %q", seen)
			}
		})
	}
}

// wantRedirected checks that the twin of a path is redirected to the path, and
// opens no socket. It sends requests with the header lines, as changed by to.
func (x *gatewayTarget) wantRedirected(t *testing.T, path string, to func(string) string, lines []string) {
	t.Helper()
	twin := path + "/"
	if bare, ok := strings.CutSuffix(path, "/"); ok {
		twin = bare
	}
	for query, want := range map[string]string{"": "", "?": "", "?x=1&y=//evil.example": "?x=1&y=//evil.example", "?a%0d%0aX:y": "?a%0d%0aX:y"} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			a := x.send(t, to(plain(method, twin+query, append(slices.Clone(lines), "Content-Length: 0")...)))
			if a.StatusCode != http.StatusTemporaryRedirect || a.Header.Get("Location") != path+want || a.Header.Get("Cache-Control") != "no-store" || a.body != "" {
				t.Errorf("%s %s: got %d %v %q, want 307 to %s", method, twin+query, a.StatusCode, a.Header, a.body, path+want)
			}
		}
	}
	for _, protocol := range []string{"websocket", "WebSocket", "tcp"} {
		raw := strings.Replace(upgrade(twin, lines...), "websocket", protocol, 1)
		if a := x.send(t, to(raw)); a.StatusCode != http.StatusBadRequest || !a.Close {
			t.Errorf("%s: an upgrade to %s: %d", twin, protocol, a.StatusCode)
		}
	}
}

// wantLookalikesRefused checks that lookalikes of a path are refused. It sends
// requests with the header lines, as changed by to.
func (x *gatewayTarget) wantLookalikesRefused(t *testing.T, routes []proxy.Route, path string, to func(string) string, lines []string) {
	t.Helper()
	own := slices.IndexFunc(routes, func(r proxy.Route) bool { return (&url.URL{Path: r.Path}).EscapedPath() == path })
	route := routes[own].Path
	for _, p := range lookalikes(route) {
		u := must(url.ParseRequestURI(p))
		if u.Path == route || strings.HasSuffix(route, "/") && strings.HasPrefix(u.Path, route) || isTwin(u.Path, route) && u.RawPath == "" {
			continue // this is the route itself, a path below it, or its twin
		}
		if a := x.send(t, to(plain("GET", p, lines...))); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", p, a.StatusCode)
		}
		if a := x.send(t, to(upgrade(p, lines...))); a.StatusCode != http.StatusBadRequest || !a.Close {
			t.Errorf("%s: a handshake: status %d, closes: %t; want 400, true", p, a.StatusCode, a.Close)
		}
	}
}

// TestTwinsOverHTTP2 checks twins and lookalikes over HTTP/2.
func TestTwinsOverHTTP2(t *testing.T) {
	x := newGatewayOverTLS(t, gateway.Config{Routes: []proxy.Route{{Path: "/", Public: true}, {Path: "/admin/"}}}, respond)
	for path, want := range map[string]int{"/admin": 307, "/admin?x=1": 307, "/Admin": 400, "/admin%3f": 400, "/%25%37%33ecret": 400} {
		if a := x.do(t, "GET", path, ""); a.StatusCode != want || a.ProtoMajor != 2 {
			t.Errorf("%s: %s %d, want %d", path, a.Proto, a.StatusCode, want)
		}
	}
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("the backend gets %q", seen)
	}
}

// TestTwinsThatAreRoutes checks that two routes whose paths are twins each have
// their own rule, and that lookalikes are still refused.
func TestTwinsThatAreRoutes(t *testing.T) {
	x := newGateway(t,
		proxy.Route{Path: "/", Public: true}, proxy.Route{Path: "/admin", Public: true}, proxy.Route{Path: "/admin/"},
		proxy.Route{Path: "/ws"}, proxy.Route{Path: "/ws/"})
	for path, want := range map[string]int{
		"/admin": 200, "/admin?x": 200, "/admin/": 401, "/admin/x": 401, "/Admin": 400, "/ADMIN/": 400, "/admin%3f": 400, "/Admin/x": 400,
		"/ws": 401, "/ws/": 401, "/ws/x": 401, "/WS": 400, "/Ws/": 400,
	} {
		x.wantStatus(t, map[string]int{plain("GET", path): want})
	}
}

// TestTwinsWithoutProtection checks twins of paths that need no protection,
// because they have no route or a public one.
func TestTwinsWithoutProtection(t *testing.T) {
	x := newGateway(t, proxy.Route{Path: "/a/"}, proxy.Route{Path: "/b/", Public: true}, proxy.Route{Path: "/b/c/", Public: true})
	for path, want := range map[string]int{"/a": 404, "/A/": 404, "/b": 404, "/b/c": 200, "/b/C": 200, "/b/C%3f": 200} {
		x.wantStatus(t, map[string]int{plain("GET", path): want})
	}
}
