package gateway

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestRouterFindsTheMostExactRoute(t *testing.T) {
	var all []*proxy
	for _, name := range []string{"/", "/chat", "/chat/", "/chat/admin/", "app.example/", "*.app.example/", "*.app.example/only/", "a.app.example/x"} {
		i := strings.IndexByte(name, '/')
		all = append(all, &proxy{route: Route{Host: name[:i], Path: name[i:]}})
	}
	router := newRouter(all)
	for _, c := range []struct{ host, path, want string }{
		{"other.example", "/", "/"},
		{"other.example", "/chat", "/chat"},
		{"other.example", "/chatter", "/"},
		{"other.example", "/chat/", "/chat/"},
		{"other.example", "/chat/x/y", "/chat/"},
		{"other.example", "/chat/admin", "/chat/"},
		{"other.example", "/chat/admin/", "/chat/admin/"},
		{"app.example", "/chat", "app.example/"},
		{"APP.Example:8443", "/chat", "app.example/"},
		{"app.example.", "/chat", "app.example/"},
		{"b.app.example", "/chat", "*.app.example/"},
		{"c.b.app.example", "/only/y", "*.app.example/only/"},
		{"a.app.example", "/x", "a.app.example/x"},
		{"a.app.example", "/y", "*.app.example/"},
		{"notapp.example", "/chat", "/chat"},
		{"[::1]:80", "/chat", "/chat"},
	} {
		p := router.find(&http.Request{Host: c.host, URL: &url.URL{Path: c.path}})
		if p == nil || p.route.name() != c.want {
			t.Errorf("%s%s: %v, want %s", c.host, c.path, p, c.want)
		}
	}
	if p := newRouter(all[1:3]).find(&http.Request{Host: "x", URL: &url.URL{Path: "/"}}); p != nil {
		t.Errorf("/ is no route: %s", p.route.name())
	}
}

// hostile are paths that two servers may read in two ways (R13).
var hostile = []string{
	"/public/../admin", "/public/./admin", "/public/%2e%2e/admin", "/public/%2E%2E/admin", "/public/.%2e/admin", "/public/..", "/%2e",
	"/public%2fadmin", "/public%2Fadmin", "//admin", "/public//admin", "/admin;x", "/admin;x/y", "/admin%3bx", "/public\\admin", "/public%5cadmin",
	"/public/%252e%252e/admin", "/public%252fadmin", "/a%00", "/a%0d%0aX:%20y", "/a%7f", "/%c0%ae%c0%ae/admin", "/%ff",
}

func TestR13_AmbiguousPaths(t *testing.T) {
	for _, p := range hostile {
		u, err := url.ParseRequestURI(p)
		if err == nil && isPlain(u.EscapedPath(), u.Path) {
			t.Errorf("%s passes", p)
		}
	}
	for _, p := range []string{"/", "/a", "/a/", "/a/b.c", "/a%20b", "/%61dmin", "/caf%C3%A9", "/café", "/a+b", "/100%25", "/100%25zz", "/a:b@c", "/...", "/a/.well-known/x", "/~x"} {
		u := must(url.ParseRequestURI(p))
		if !isPlain(u.EscapedPath(), u.Path) {
			t.Errorf("%s does not pass", p)
		}
	}
}

// FuzzIsPlain: a path that passes has as many parts for a server that takes escapes away as for one that does not, and none of
// them leads up, however often it takes them away.
func FuzzIsPlain(f *testing.F) {
	for _, p := range append(hostile, "/a/b", "/100%25") {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil || !isPlain(u.EscapedPath(), u.Path) {
			return
		}
		once := u.Path
		twice, err := url.PathUnescape(once)
		if err != nil {
			twice = once
		}
		for _, read := range []string{once, twice} {
			if strings.Count(read, "/") != strings.Count(u.EscapedPath(), "/") {
				t.Errorf("%q has other parts as %q", raw, read)
			}
			if cleaned := path.Clean(read); cleaned != read && cleaned+"/" != read {
				t.Errorf("%q leads to %q", raw, cleaned)
			}
			if strings.ContainsAny(read, "\\;\x00\r\n") {
				t.Errorf("%q holds what other servers cut at", raw)
			}
		}
	})
}
