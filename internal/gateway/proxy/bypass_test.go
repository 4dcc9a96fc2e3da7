package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzBypass: no path reaches a public route if a server that decodes once
// more, and ignores case and a trailing slash, treats it as the path of a
// guarded route.
func FuzzBypass(f *testing.F) {
	for _, seed := range append(hostilePaths(f), "/ADMIN", "/Admin/", "/%61DMIN", "/admin%3f", "/admin%23", "/admin.", "/admin%20", "/ａdmin", "/admin\uff0f", "/ⓐdmin", "/\u200cadmin", "/a/b", "/A/B/", "/admin", "/ws", "/ws/x", "/%25%37%33") {
		f.Add(seed)
	}
	routes := []Route{{Path: "/", Public: true}, {Path: "/admin/"}, {Path: "/ws"}, {Path: "/a/b/"}, {Path: "/a/", Public: true}}
	var all []*proxy
	for _, r := range routes {
		all = append(all, &proxy{route: r})
	}
	router := newRouter(all)
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		u, err := url.ParseRequestURI(raw)
		if err != nil || !strings.HasPrefix(raw, "/") || !isPlain(u.EscapedPath(), u.Path) {
			return
		}
		r.URL = u
		p := router.find(r)
		if !p.route.Public || router.bypassed(targetOf(r), p) != nil {
			return
		}
		read := u.Path
		if again, err := url.PathUnescape(read); err == nil {
			read = again
		}
		if end := strings.IndexAny(read, "?#"); end >= 0 {
			read = read[:end]
		}
		read = strings.TrimRight(strings.ToLower(read), "/. ")
		if read == "/admin" || strings.HasPrefix(read, "/admin/") || read == "/ws" || read == "/a/b" || strings.HasPrefix(read, "/a/b/") {
			t.Errorf("%q gets around the route of %q", raw, read)
		}
	})
}
