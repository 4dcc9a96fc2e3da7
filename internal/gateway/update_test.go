package gateway

import (
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

func TestUpdateKeepsSocketsOfKeptRoutes(t *testing.T) {
	b, second := newBackend(t), newBackend(t)
	r := serveBehind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, proxy.Route{Path: "/gone/", Upstreams: []string{b.URL}}, proxy.Route{Path: "/strict/", Upstreams: []string{b.URL}},
			proxy.Route{Path: "/opened/", Upstreams: []string{b.URL}})
	})
	access, refresh := r.Login()
	stays, gone := r.socket("/chat", bearer(access)), r.socket("/gone/x", bearer(access))
	strict, opened := r.socket("/strict/x", bearer(access)), r.socket("/opened/x", bearer(access))
	err := r.g.Update([]proxy.Route{
		{Path: "/", Upstreams: []string{second.URL}, Headers: map[string]string{"X-Who": "sub"}},
		{Path: "/strict/", Upstreams: []string{b.URL}, Claims: map[string][]string{"role": {"admin"}}},
		{Path: "/opened/", Upstreams: []string{b.URL}, Public: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.WantClose(gone, 1012, "restarting")
	r.WantClose(strict, 1012, "restarting")
	r.WantClose(opened, 1012, "restarting")
	r.WantEcho(stays, "still here")
	if e := r.get("/a", bearer(access)); e.Text != "GET /a user=" || second.last().Header.Get("X-Who") != "test" {
		t.Errorf("got %d %q, %v", e.StatusCode, e.Text, second.last())
	}
	if _, resp, err := r.DialPath("/strict/x", nil, bearer(access)); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a socket without the required claim: %v", err)
	}
	if e := r.get("/public/a"); e.StatusCode != http.StatusUnauthorized {
		t.Errorf("the removed public route: %d", e.StatusCode)
	}
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(stays, 3000, "session_ended")
	r.wantNoneLive()
}

// TestUpdateGuardsOpenSockets checks that a new route ends sockets at its path
// that another route has opened, even if that route still exists.
func TestUpdateGuardsOpenSockets(t *testing.T) {
	b := newBackend(t)
	at := []string{b.URL}
	everybody := proxy.Route{Path: "/", Upstreams: at, Public: true, Sockets: true}
	user := proxy.Route{Path: "/", Upstreams: at}
	unknown := proxy.Route{Path: "/", Upstreams: at, Requirement: wsauth.Optional}
	strict := map[string][]string{"role": {"admin"}}
	for name, c := range map[string]struct {
		before proxy.Route
		path   string
		added  proxy.Route
		stays  bool
	}{
		"path":               {everybody, "/ws", proxy.Route{Path: "/ws"}, false},
		"path, optional":     {unknown, "/ws", proxy.Route{Path: "/ws"}, false},
		"path below":         {everybody, "/a/b", proxy.Route{Path: "/a/"}, false},
		"twin":               {everybody, "/ws/", proxy.Route{Path: "/ws"}, false},
		"capitals":           {everybody, "/WS", proxy.Route{Path: "/ws"}, false},
		"host":               {everybody, "/ws", proxy.Route{Host: "127.0.0.1", Path: "/"}, false},
		"claims":             {user, "/ws", proxy.Route{Path: "/ws", Claims: strict}, false},
		"public, no sockets": {everybody, "/ws", proxy.Route{Path: "/ws", Public: true}, false},
		"public":             {everybody, "/ws", proxy.Route{Path: "/ws", Public: true, Sockets: true}, true},
		"same rules":         {user, "/ws", proxy.Route{Path: "/ws"}, true},
		"another path":       {everybody, "/ws", proxy.Route{Path: "/w"}, true},
		"another host":       {everybody, "/ws", proxy.Route{Host: "app.example", Path: "/"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(config *Config) { config.Routes = []proxy.Route{c.before} })
			var lines []string
			if !c.before.Public && c.before.Requirement != wsauth.Optional {
				access, _ := r.Login()
				lines = []string{bearer(access)}
			}
			open := r.socket(c.path, lines...)
			c.added.Upstreams = at
			if err := r.g.Update([]proxy.Route{c.before, c.added}); err != nil {
				t.Fatal(err)
			}
			if c.stays {
				r.WantEcho(open, "still here")
			} else {
				r.WantClose(open, 1012, "restarting")
			}
		})
	}
}

// TestUpdateWhileRenewing checks an update after the old routes have accepted
// the new claims of a socket, but before the socket has them. The update then
// sees only the old claims. The socket must end if the new routes do not admit
// the new ones.
func TestUpdateWhileRenewing(t *testing.T) {
	b := newBackend(t)
	for name, claims := range map[string]map[string][]string{"refuse": {"fresh": {"true"}}, "let pass": {"fresh": {"true", "false"}}} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
			access, refresh := r.Login()
			conn := r.socket("/chat", bearer(access))
			r.WantEcho(conn, "the token of a login is fresh")
			var once sync.Once
			update := func() {
				once.Do(func() {
					if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Claims: claims}}); err != nil {
						t.Error(err)
					}
				})
			}
			r.g.routes.Authorized.Store(&update)
			r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh))) // the token of a refresh is not fresh
			if name == "refuse" {
				r.WantClose(conn, 1012, "restarting")
				return
			}
			r.WantEcho(conn, "still here")
		})
	}
}

// TestRenewalAfterUpdate checks that the current rule of the route decides on a
// renewal. If it does not admit the new claims, the socket keeps the old ones.
func TestRenewalAfterUpdate(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
	access, refresh := r.Login()
	conn := r.socket("/chat", bearer(access))
	r.WantEcho(conn, "the token of a login is fresh")
	strict := []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Claims: map[string][]string{"fresh": {"true"}}}}
	if err := r.g.Update(strict); err != nil {
		t.Fatal(err)
	}
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh))) // for a token that is not fresh
	r.WantEcho(conn, "still here")
	sockets := slices.Collect(r.g.guard.Sockets(wsauth.Filter{Subject: "test"}))
	if len(sockets) != 1 || !sockets[0].Claims().Fresh {
		t.Errorf("the socket has claims that the route does not admit: %+v", sockets)
	}
}

// TestUpdateRefused checks that if one route of an update has a fault, nothing
// changes: neither that route, nor the others, nor an open socket (S6).
func TestUpdateRefused(t *testing.T) {
	b, other := newBackend(t), newBackend(t)
	r := serveBehind(t, b)
	access, refresh := r.Login()
	conn := r.socket("/chat", bearer(access))
	before := r.g.routes.States()
	good := proxy.Route{Path: "/public/", Upstreams: []string{other.URL}}
	for name, routes := range map[string][]proxy.Route{
		"none":        nil,
		"upstream":    {good, {Path: "/", Upstreams: []string{"ftp://x"}}},
		"no upstream": {good, {Path: "/"}},
		"twice":       {good, {Path: "/", Upstreams: []string{b.URL}}, {Path: "/", Upstreams: []string{b.URL}}},
		"extractor":   {good, {Path: "/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{nil}}},
		"path":        {good, {Path: "/a/../b", Upstreams: []string{b.URL}}},
	} {
		if err := r.g.Update(routes); err == nil {
			t.Errorf("%s: no error", name)
		}
		if len(r.g.routes.States()) != len(before) {
			t.Errorf("%s: the routes have changed", name)
		}
	}
	if e := r.get("/public/a"); e.StatusCode != http.StatusOK {
		t.Errorf("the public route: %d", e.StatusCode)
	}
	if e := r.get("/a"); e.StatusCode != http.StatusUnauthorized {
		t.Errorf("the guarded route without a token: %d", e.StatusCode)
	}
	if e := r.get("/a", bearer(access)); e.StatusCode != http.StatusOK {
		t.Errorf("the guarded route with a token: %d", e.StatusCode)
	}
	r.WantEcho(conn, "still here")
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(conn, 3000, "session_ended")
	if n := other.count(); n != 0 {
		t.Errorf("the upstream of a refused update has seen %d requests", n)
	}
}

// TestUpdateKeepsUnchangedRoutes checks that an update does not affect a route
// that is the same as before: it still avoids an upstream that could not be
// reached. A route that has changed tries all of its upstreams again.
func TestUpdateKeepsUnchangedRoutes(t *testing.T) {
	up, late := newBackend(t), newBackend(t)
	down := filepath.Join(t.TempDir(), "s")
	route := proxy.Route{Path: "/public/", Upstreams: []string{"unix:" + down, up.URL}, Public: true, Health: proxy.Health{Every: time.Hour}}
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{route, {Path: "/old", Upstreams: []string{up.URL}}}
	})
	ask := func() {
		t.Helper()
		for range 4 {
			if e := r.get("/public/a"); e.StatusCode != http.StatusOK {
				t.Fatalf("status %d", e.StatusCode)
			}
		}
	}
	ask() // marks one of the two as unhealthy
	l, err := net.Listen("unix", down)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: late, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // its error is that of Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	if err := r.g.Update([]proxy.Route{route, {Path: "/new", Upstreams: []string{up.URL}}}); err != nil {
		t.Fatal(err)
	}
	if ask(); late.count() != 0 {
		t.Errorf("the upstream that was down got %d requests", late.count())
	}
	if names := r.routeNames(); !slices.Equal(names, []string{"/new", "/public/"}) {
		t.Errorf("routes %q", names)
	}
	route.Response = time.Minute + time.Second
	if err := r.g.Update([]proxy.Route{route}); err != nil {
		t.Fatal(err)
	}
	if ask(); late.count() != 2 {
		t.Errorf("after the route has changed, the upstream got %d requests of 4", late.count())
	}
}

// wantNoneLive stops the gateway and checks that it has no records of open
// sockets left.
func (r *rig) wantNoneLive() {
	r.T.Helper()
	r.stop()
	if err := <-r.served; err != nil {
		r.T.Error(err)
	}
	if n := r.g.routes.Connected(); n != 0 {
		r.T.Errorf("%d sockets are registered after the end", n)
	}
}

// routeNames returns the names of the routes, sorted.
func (r *rig) routeNames() (names []string) {
	for _, s := range r.g.routes.States() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// TestUpdateCopiesRoutes checks that changes of the caller to lists of a route
// take effect only with the next Update.
func TestUpdateCopiesRoutes(t *testing.T) {
	b := newBackend(t)
	cors := &proxy.CORS{Origins: []string{corsApp}}
	claims := map[string][]string{"role": {"user"}}
	routes := []proxy.Route{
		{Path: "/", Upstreams: []string{b.URL}, Public: true, CORS: cors},
		{Path: "/in", Upstreams: []string{b.URL}, Claims: claims},
	}
	r := start(t, func(c *Config) { c.Routes = routes })
	access, _ := r.Login()
	cors.Origins[0] = corsEvil
	claims["role"][0] = "admin"
	claims["sub"] = []string{"test"}
	delete(claims, "role")
	wants := func(origin string) {
		t.Helper()
		for _, o := range []string{corsApp, corsEvil} {
			want := map[bool]string{true: o}[o == origin]
			if got := r.ask("GET", "/", "Origin: "+o).Header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("of %s: %q, want %q", o, got, want)
			}
		}
	}
	wants(corsApp)
	r.ask("GET", "/in", bearer(access)).WantProblem(t, 403, "not_authorized", "")
	if err := r.g.Update(routes); err != nil {
		t.Fatal(err)
	}
	wants(corsEvil)
	if e := r.ask("GET", "/in", bearer(access)); e.StatusCode != 200 {
		t.Errorf("a changed list of claims: %d %s", e.StatusCode, e.Text)
	}
}

// TestRemoveRoutes checks that without routes only the gateway's own paths
// answer, until an update adds routes.
func TestRemoveRoutes(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	access, _ := r.Login()
	conn := r.socket("/chat", bearer(access))
	if err := r.g.RemoveRoutes(); err != nil {
		t.Fatal(err)
	}
	r.WantClose(conn, 1012, "restarting")
	if e := r.get("/public/a"); e.StatusCode != http.StatusNotFound {
		t.Errorf("a route that was removed: %d", e.StatusCode)
	}
	r.Login()
	if err := r.g.Update([]proxy.Route{{Path: "/public/", Upstreams: []string{b.URL}, Public: true}}); err != nil {
		t.Fatal(err)
	}
	if e := r.get("/public/a"); e.StatusCode != http.StatusOK {
		t.Errorf("a route that was added again: %d", e.StatusCode)
	}
	if err := start(t).g.RemoveRoutes(); err == nil {
		t.Error("the demonstration has no routes to remove")
	}
}
