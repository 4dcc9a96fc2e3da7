package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"wsauth/internal/wstest"
)

// find returns the proxy of a request whose path is plain, or nil if there is
// none.
func (t *router) find(r *http.Request) *proxy { return t.lookUp(hostOf(r), r.URL.Path) }

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
		t.Errorf("/ is served by %s, want no route", p.route.name())
	}
}

// TestLookUpIsBounded checks that a request cannot choose how many steps its
// look-up takes. The routes bound the paths and the hosts that are tried, and
// maxHost bounds the labels of a host.
func TestLookUpIsBounded(t *testing.T) {
	var all []*proxy
	for _, host := range []string{"", "*.app.example", "*.a"} {
		all = append(all, &proxy{route: Route{Host: host, Path: "/"}}, &proxy{route: Route{Host: host, Path: "/a/b/"}})
	}
	router := newRouter(all)
	const suffix = ".app.example"
	fitting := strings.Repeat("a", maxHost-len(suffix)) + suffix
	deep := strings.Repeat("/a", 4<<10)
	for host, want := range map[string]struct {
		levels int
		found  string
	}{
		"other.example":                    {1, "/"},
		"x" + suffix:                       {2, "*.app.example/"},
		"a.a.a":                            {2, "*.a/"},
		strings.Repeat("a.", 126) + "a":    {2, "*.a/"},
		strings.Repeat("a.", 16<<10) + "a": {1, "/"},
		fitting:                            {2, "*.app.example/"},
		fitting + ".:8443":                 {2, "*.app.example/"},
		"a" + fitting:                      {1, "/"},
	} {
		r := &http.Request{Host: host, URL: &url.URL{Path: deep}}
		levels := 0
		for of := range router.routesFor(hostOf(r)) {
			levels++
			if n := strings.Count(of.reach(deep), "/"); n > 3 {
				t.Errorf("%.40s: %d paths are tried, want at most 3", host, n)
			}
		}
		if p := router.find(r); levels != want.levels || p == nil || p.route.name() != want.found {
			t.Errorf("%.40s (%d bytes): %d levels, want %d; %v, want %s", host, len(host), levels, want.levels, p, want.found)
		}
	}
	if p := router.find(&http.Request{Host: "x", URL: &url.URL{Path: "/a/b" + deep}}); p.route.name() != "/a/b/" {
		t.Errorf("a deep path is served by %s, want /a/b/", p.route.name())
	}
}

// TestMatchIsLazy checks that a match looks for a bypassed route or a CORS
// policy only when needed.
func TestMatchIsLazy(t *testing.T) {
	p := &proxy{route: Route{Path: "/"}}
	rs := new(Routes)
	rs.table.Store(newRouteTable(rs, []*proxy{p}))
	r := &http.Request{Host: "x", URL: &url.URL{Path: "/a"}}
	m := rs.Match(r)
	if rs.CORSOf(r, &m, false) != nil || m.lookedUp {
		t.Error("looked up a route although there is no policy")
	}
	if m.IsQuick(r) || !m.lookedUp || m.compared {
		t.Errorf("IsQuick: looked up %t, compared %t, want true, false", m.lookedUp, m.compared)
	}
	if m.findBypassed(r) != nil || !m.compared {
		t.Error("the bypassed route is not looked up")
	}
}

// decodable matches an escape.
var decodable = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// hostilePaths returns paths that two servers may read differently.
func hostilePaths(t testing.TB) (hostRoutes []string) {
	t.Helper()
	for _, v := range wstest.Vectors(t, "../../../attack/testdata/paths") {
		hostRoutes = append(hostRoutes, v.Text)
	}
	return hostRoutes
}

func TestR13_AmbiguousPaths(t *testing.T) {
	for _, p := range hostilePaths(t) {
		u, err := url.ParseRequestURI(p)
		if err == nil && isPlain(u.EscapedPath(), u.Path) {
			t.Errorf("%s is plain, want not", p)
		}
	}
	for _, p := range []string{"/", "/a", "/a/", "/a/b.c", "/a%20b", "/%61dmin", "/caf%C3%A9", "/café", "/a+b", "/100%25", "/100%25zz", "/%25", "/100%25/x", "/%25u", "/%25u00", "/%25%67", "/a%25g1", "/50%25-off", "/%25%20ab", "/q？a", "/１００％", "/a／b", "/a；b", "/a:b@c", "/...", "/a/.well-known/x", "/~x", "/a/...", "/a./b", "/a%20/b", "/a/%20", "/a…/b", "/cafe%CC%81", "/👩‍💻/x", "/文件；x"} {
		u := must(url.ParseRequestURI(p))
		if !isPlain(u.EscapedPath(), u.Path) {
			t.Errorf("%s is not plain", p)
		}
	}
}

// FuzzIsPlain checks that a plain path has the same number of segments before
// and after decoding, and that none leads to the parent. Decoding it again must
// change nothing, so a chain of servers reads the same path as the gateway.
func FuzzIsPlain(f *testing.F) {
	for _, p := range append(hostilePaths(f), "/a/b", "/100%25") {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil || !isPlain(u.EscapedPath(), u.Path) {
			return
		}
		once := u.Path
		again := decodable.ReplaceAllStringFunc(once, func(escape string) string { return must(url.PathUnescape(escape)) })
		if again != once {
			t.Errorf("%q becomes %q, and then %q", raw, once, again)
		}
		for _, read := range []string{once, compatible(once)} {
			if cleaned := path.Clean(read); cleaned != read && cleaned+"/" != read {
				t.Errorf("%q is cleaned to %q, want it unchanged", raw, cleaned)
			}
		}
		if strings.Count(once, "/") != strings.Count(u.EscapedPath(), "/") {
			t.Errorf("%q has a different number of segments as %q", raw, once)
		}
		if strings.ContainsAny(once, "\\;\x00\r\n") {
			t.Errorf("%q contains a character at which other servers cut the path", raw)
		}
	})
}

// TestPlainRequestsAllocateNothing checks that the steps that every handshake
// takes allocate nothing for a usual path and host.
func TestPlainRequestsAllocateNothing(t *testing.T) {
	for name, f := range map[string]func(){
		"path":           func() { isPlain("/chat/room", "/chat/room") },
		"host":           func() { hostOf(&http.Request{Host: "app.example"}) },
		"host with port": func() { hostOf(&http.Request{Host: "app.example:8443"}) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// FuzzBypass checks that a path does not reach a public route if an upstream
// may treat it as the path of a guarded route. Such an upstream decodes the
// path once more, and ignores case and a trailing slash.
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
		if !p.route.Public || router.bypassed(routeKeyOf(r), p) != nil {
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
			t.Errorf("%q is served although a server may read it as %q, which is guarded", raw, read)
		}
	})
}
