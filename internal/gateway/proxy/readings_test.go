package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// FuzzReadings checks that a forwarded path belongs to the same route whether
// or not a server decodes it, cuts parameters, treats backslashes as slashes,
// or merges slashes. No such server may read it as a path to the parent.
func FuzzReadings(f *testing.F) {
	for _, p := range append(hostilePaths(f), "/a", "/app/x", "/app//x", "/app/a;b", `/app/a\b`, "/app/a%2fb") {
		f.Add(p)
	}
	var all []*proxy
	for _, r := range []Route{{Path: "/", Public: true, LenientPaths: true}, {Path: "/app/", LenientPaths: true}, {Path: "/admin/"}, {Path: "/app/admin", LenientPaths: true}} {
		all = append(all, &proxy{route: r})
	}
	now := newRouteTable(&Routes{config: Config{Own: OwnPaths{Prefix: "/auth"}}}, all)
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL, r.RequestURI = u, raw
		readings, ok := readPath(r)
		p := now.router.find(r)
		if !ok || readings == nil || p == nil || !now.mayServe(hostOf(r), p, readings) {
			return
		}
		slashes := strings.NewReplacer("%2f", "/", "%2F", "/").Replace(u.EscapedPath())
		for _, read := range []string{u.Path, u.EscapedPath(), slashes, strings.ReplaceAll(u.Path, `\`, "/")} {
			for range 2 {
				if q := now.router.lookUp("", strings.ToLower(read)); q != p && q.route.Path != "/" {
					t.Errorf("%q of %s: the reading %q belongs to %s", raw, p.route.Path, read, q.route.Path)
				}
				cleaned := path.Clean(read)
				if q := now.router.lookUp("", cleaned); q != p && q.route.Path != "/" && cleaned+"/" != p.route.Path {
					t.Errorf("%q of %s: the cleaned reading %q belongs to %s", raw, p.route.Path, cleaned, q.route.Path)
				}
				if slices.Contains(strings.Split(read, "/"), "..") {
					t.Errorf("%q: the reading %q leads to a parent", raw, read)
				}
				read = cutParameters(read)
			}
		}
	})
}
