package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/gateway/discovery"

	"github.com/google/go-cmp/cmp"
)

// TestG10_EscapedOwnPath: the policy of the gateway's own addresses opens no
// route: a path that is one of them only for some servers reaches none.
func TestG10_EscapedOwnPath(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.AuthCORS = &CORS{Origins: []string{corsApp}, Credentials: true}
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, LenientPaths: true}}
	})
	for _, path := range []string{
		"/auth%2fusers/5", "/auth%2Fsession", "/auth/a%2fb", "/auth//sessions", "/auth/a;b", "/.well-known%2fjwks.json", `/auth\x`, "/auth%5cx", "//auth/x", "/%61uth/x", "/auth;x",
		"/auth%3bx", "/auth/..%2fx", "/auth/%2e%2e/x", "/auth/../x", "/auth%00", "/AUTH/x", "/auth%20", "/auth.", "/auth%ef%bc%8fx", "http://x/auth/x",
	} {
		pre := r.ask("OPTIONS", path, preflightFor(corsApp, "DELETE", "authorization")...)
		n := b.count()
		e := r.ask("DELETE", path, "Origin: "+corsApp)
		if pre.Header.Get("Access-Control-Allow-Origin") != "" && b.count() != n {
			t.Errorf("%s: preflight %d, and then %d of the upstream", path, pre.StatusCode, e.StatusCode)
		}
	}
}

// TestG10_PublishedKeys: pages of every origin can read the published keys,
// whatever else they can read here, and never with credentials.
func TestG10_PublishedKeys(t *testing.T) {
	b := newBackendOf(t, chatty)
	guarded := []Route{{Path: "/", Upstreams: []string{b.URL}}}
	for name, c := range map[string]struct {
		change func(*Config)
		keys   bool
	}{
		"no cors":     {func(c *Config) { c.Routes = guarded }, true},
		"demo":        {func(*Config) {}, true},
		"credentials": {func(c *Config) { c.AuthCORS, c.Routes = &CORS{Origins: []string{corsApp}, Credentials: true}, guarded }, true},
		"no logins":   {func(c *Config) { c.NoAuth, c.Routes = true, guarded }, false}, // so the path is the route's
	} {
		r := start(t, c.change)
		for _, path := range []string{discovery.KeysPath, discovery.MetadataPath} {
			for _, origin := range []string{corsApp, corsEvil, "null"} {
				var tag string
				for _, status := range []int{200, 304, 204} {
					method, lines := "GET", []string{"Origin: " + origin}
					want := map[string]string{"Allow-Origin": "*", "Vary": "Origin"}
					switch status {
					case 304:
						lines = append(lines, "If-None-Match: "+tag)
					case 204:
						method, lines = "OPTIONS", preflightFor(origin, "GET", "content-type")
						want = map[string]string{
							"Allow-Origin": "*", "Allow-Methods": "GET, HEAD", "Allow-Headers": "Content-Type", "Max-Age": "600",
							"Vary": "Origin + Access-Control-Request-Method + Access-Control-Request-Headers",
						}
					}
					if !c.keys {
						status, want = 401, map[string]string{}
					} else if path == discovery.MetadataPath && status != 204 {
						status = 404 // there is no issuer
					}
					e := r.ask(method, path, lines...)
					if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" || e.StatusCode != status {
						t.Errorf("%s: %s %s of %s: %d, want %d (- want, + got):\n%s", name, method, path, origin, e.StatusCode, status, diff)
					}
					tag = e.Header.Get("Etag")
				}
			}
		}
	}
}

// TestG10_UpgradesVary: whatever asks for another protocol is answered by the
// same policy as anything else, also before a route has it.
func TestG10_UpgradesVary(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		cors := &CORS{Origins: []string{corsApp}}
		c.AuthCORS = cors
		c.Routes = []Route{
			{Path: "/", Upstreams: []string{b.URL}, CORS: cors, Public: true},
			{Path: "/in", Upstreams: []string{b.URL}, CORS: cors},
		}
	})
	long := strings.Repeat("x", 9<<10)
	for _, c := range []struct {
		method, path string
		lines        []string
		status       int
	}{
		{"GET", "/auth/session", nil, 401},
		{"GET", "/auth/nothing", nil, 404},
		{"POST", "/auth/login", nil, 415},
		{"GET", "/in", nil, 401},
		{"POST", "/in", nil, 405},
		{"GET", "/IN", nil, 400},
		{"GET", "/x?" + long, nil, 414},
		{"GET", "/x", []string{"X-Long: " + strings.Repeat(long, 4)}, 431},
		{"TRACE", "/x", nil, 405},
		{"GET", "/x", []string{"Cdn-Loop: " + strings.Repeat(r.g.routes.LoopName()+", ", 6)}, 508},
	} {
		for _, offer := range [][]string{upgradeLines, {"Upgrade: foo", "Connection: upgrade"}, {"Upgrade: h2c", "Connection: upgrade"}} {
			for origin, allowed := range map[string]string{corsApp: corsApp, corsEvil: ""} {
				if c.method == "POST" && c.path == "/auth/login" && origin == corsEvil {
					continue
				}
				lines := append(append(slices.Clone(c.lines), offer...), "Origin: "+origin)
				e := r.exactly(c.method+" "+c.path+" HTTP/1.1", lines...)
				if e.Header.Get("Vary") != "Origin" || e.Header.Get("Access-Control-Allow-Origin") != allowed {
					t.Errorf("%s %.30s with %q of %s: %d %v", c.method, c.path, offer[0], origin, e.StatusCode, corsOf(e.Header))
				}
			}
		}
	}
}

// TestG10_AnswerToPassedPreflight: of an upstream's answer to a request that
// nobody was asked for, only what CORS is about is passed on.
func TestG10_AnswerToPassedPreflight(t *testing.T) {
	b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Link", "</private/of-a-user.js>; rel=preload")
		h.Set("Set-Cookie", "early=1")
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Set-Cookie", "sid=of-nobody; Path=/")
		h.Set("Location", "/reset?once=secret")
		h.Set("Etag", `"hash"`)
		h.Set("X-Balance", "42")
		h.Set("Trailer", "X-After")
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Allow-Methods", "PUT")
		h.Set("Vary", "Origin, Access-Control-Request-Method")
		h.Set("Allow", "GET, PUT")
		h.Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "secret")
		h.Set("X-After", "1")
	})
	inBothServers(t, func(t *testing.T, start func(...func(*Config)) *rig) {
		r := start(func(c *Config) {
			c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, CORS: &CORS{Upstream: true}}}
		})
		e := r.send("OPTIONS", "/x", nil, preflightFor(corsApp, "PUT")...)
		e.Header.Del("Date")
		want := http.Header{
			"Access-Control-Allow-Origin": {corsApp}, "Access-Control-Allow-Methods": {"PUT"}, "Vary": {"Origin, Access-Control-Request-Method"},
			"Allow": {"GET, PUT"}, "Cache-Control": {"max-age=60"},
		}
		e.Header.Del("Content-Length")
		if diff := cmp.Diff(want, e.Header); diff != "" || e.StatusCode != 200 || e.body != "" || len(e.Trailer) > 0 {
			t.Errorf("%d %q %v (- want, + got):\n%s", e.StatusCode, e.body, e.Trailer, diff)
		}
		if strings.HasPrefix(r.url, "http:") {
			conn := r.connect()
			if _, err := fmt.Fprintf(conn, "OPTIONS /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n", strings.Join(preflightFor(corsApp, "PUT"), "\r\n")); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(conn)
			if err != nil || !bytes.HasPrefix(all, []byte("HTTP/1.1 200 ")) || bytes.Contains(all, []byte("early")) {
				t.Errorf("%v: %s", err, all)
			}
		}
	})
}

// TestG10_Trailers: an upstream says nothing about CORS in a trailer either.
func TestG10_Trailers(t *testing.T) {
	b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.URL.RawQuery == "announced" {
			h.Set("Trailer", "Access-Control-Allow-Origin, X-After, access-control-allow-credentials")
			_, _ = io.WriteString(w, "hello")
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("X-After", "1")
			return
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		h.Set(http.TrailerPrefix+"Access-Control-Allow-Origin", "*")
		h.Set(http.TrailerPrefix+"Access-Control-Allow-Credentials", "true")
		h.Set(http.TrailerPrefix+"X-After", "1")
	})
	inBothServers(t, func(t *testing.T, start func(...func(*Config)) *rig) {
		r := start(func(c *Config) {
			c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, CORS: &CORS{Origins: []string{corsApp}}}}
		})
		for _, query := range []string{"announced", "none"} {
			e := r.send("GET", "/?"+query, nil, "Origin: "+corsApp, "TE: trailers")
			if diff := cmp.Diff(http.Header{"X-After": {"1"}}, e.Trailer); diff != "" || e.body != "hello" {
				t.Errorf("%s: %q (- want, + got):\n%s", query, e.body, diff)
			}
			if got := e.Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{corsApp}) {
				t.Errorf("%s: %q", query, got)
			}
		}
	})
}

// TestG10_ConnectionNamesCORS: an upstream cannot have a header of ours
// removed by naming it in Connection.
func TestG10_ConnectionNamesCORS(t *testing.T) {
	b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close, Vary, Access-Control-Allow-Origin\r\nContent-Length: 2\r\n\r\nok")
	})
	r := start(t, func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true, AnyOrigin: true, CORS: &CORS{Origins: []string{corsApp}}}}
	})
	for name, lines := range map[string][]string{"plain": nil, "handshake": upgradeLines} {
		e := r.exactly("GET / HTTP/1.1", append(slices.Clone(lines), "Origin: "+corsApp)...)
		if e.Header.Get("Vary") != "Origin" || e.Header.Get("Access-Control-Allow-Origin") != corsApp {
			t.Errorf("%s: %d %v", name, e.StatusCode, e.Header)
		}
	}
}

// TestG10_PolicyOfTheCaller: lists that the caller changes after they were
// checked count from the next Update, and not before.
func TestG10_PolicyOfTheCaller(t *testing.T) {
	b := newBackend(t)
	cors := &CORS{Origins: []string{corsApp}}
	claims := map[string][]string{"role": {"user"}}
	routes := []Route{
		{Path: "/", Upstreams: []string{b.URL}, Public: true, CORS: cors},
		{Path: "/in", Upstreams: []string{b.URL}, Claims: claims},
	}
	r := start(t, func(c *Config) { c.Routes = routes })
	access, _ := r.login()
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
	wantProblem(t, r.ask("GET", "/in", bearer(access)), 403, "not_authorized", "")
	if err := r.g.Update(routes); err != nil {
		t.Fatal(err)
	}
	wants(corsEvil)
	if e := r.ask("GET", "/in", bearer(access)); e.StatusCode != 200 {
		t.Errorf("claims that have changed: %d %s", e.StatusCode, e.body)
	}
}
