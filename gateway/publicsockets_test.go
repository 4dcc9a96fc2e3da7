package gateway

import (
	"bufio"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wsauth"
)

// socketsBesideGuarded are routes as people write them: pages for everybody
// and one guarded socket, all on one server.
func socketsBesideGuarded(url string, change ...func([]Route)) func(*Config) {
	return func(c *Config) {
		at := []string{url}
		c.Routes = []Route{{Path: "/", Upstreams: at, Public: true}, {Path: "/ws", Upstreams: at}}
		for _, f := range change {
			f(c.Routes)
		}
	}
}

// handshakes are what asks for a socket, as far as the guard takes it for a
// handshake, and the refusal where there is none.
var handshakes = []struct {
	name   string
	first  string // before the path
	lines  []string
	status int
	reason string
}{
	{"usual", "GET ", upgradeLines, 403, "sockets_not_allowed"},
	{"in capitals", "GET ", swap(upgradeLines, "Upgrade: ", "UPGRADE: WebSocket"), 403, "sockets_not_allowed"},
	{"another header first", "GET ", append([]string{"X-First: long " + strings.Repeat("x", 9000)}, upgradeLines...), 403, "sockets_not_allowed"}, // read by net/http
	{"a list", "GET ", swap(upgradeLines, "Upgrade: ", "Upgrade: websocket, h2c"), 400, "invalid_handshake"},
	{"h2c first", "GET ", swap(upgradeLines, "Upgrade: ", "Upgrade: h2c, websocket"), 400, "invalid_handshake"},
	{"twice", "GET ", append([]string{"Upgrade: h2c"}, upgradeLines...), 400, "invalid_handshake"},
	{"tcp", "GET ", swap(upgradeLines, "Upgrade: ", "Upgrade: tcp"), 400, "invalid_handshake"},
	{"empty", "GET ", swap(upgradeLines, "Upgrade: ", "Upgrade:"), 400, "invalid_handshake"},
	{"by POST", "POST ", upgradeLines, 405, "method_not_allowed"},
	{"of version 8", "GET ", swap(upgradeLines, "Sec-WebSocket-Version: ", "Sec-WebSocket-Version: 8"), 426, "version_not_supported"},
}

// swap puts a line in the place of the one with a prefix.
func swap(lines []string, prefix, line string) []string {
	lines = slices.Clone(lines)
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) })
	lines[i] = line
	return lines
}

// TestPublicRoutesRefuseSockets: a server that takes any path for a socket
// does not get a handshake past the guard of its one guarded path.
func TestPublicRoutesRefuseSockets(t *testing.T) {
	b := newBackend(t)
	r := start(t, socketsBesideGuarded(b.URL))
	access, _ := r.login()
	for _, path := range []string{"/", "/x", "/ws/x", "/ws2", "/w", "/x/ws", "/?ws", "/x?token=" + access} {
		for _, h := range handshakes {
			e := r.exactly(h.first+path+" HTTP/1.1", h.lines...)
			if e.StatusCode != h.status || !strings.Contains(e.body, `"`+h.reason+`"`) || !e.Close {
				t.Errorf("%s, %s: %d %s %v", path, h.name, e.StatusCode, e.body, e.Header)
			}
			if path == "/" && h.status == 403 && !strings.Contains(r.log.String(), "reason=sockets_not_allowed") {
				t.Errorf("%s, %s: not logged:\n%s", path, h.name, r.log)
			}
		}
		if e := r.exactly("GET "+path+" HTTP/1.1", append([]string{bearer(access)}, upgradeLines...)...); e.StatusCode == http.StatusSwitchingProtocols {
			t.Errorf("%s: a token opens it", path)
		}
	}
	if n := b.count(); n != 0 {
		t.Fatalf("the backend has %d requests", n)
	}
	// An offer of h2c is not taken up: what carries it is a plain request.
	for _, offer := range []string{"Upgrade: h2c", "Upgrade: H2C"} {
		if e := r.get("/x", offer, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"); e.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", offer, e.StatusCode, e.body)
		}
		if h := b.last().Header; h.Get("Upgrade") != "" || h.Get("Http2-Settings") != "" || strings.Contains(h.Get("Connection"), "pgrade") {
			t.Errorf("%s: the backend has got %v", offer, h)
		}
	}
	if e := r.exactly("GET /ws HTTP/1.1", append([]string{bearer(access)}, upgradeLines...)...); e.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("the guarded socket: %d %s", e.StatusCode, e.body)
	}
	if e := r.exactly("GET /ws HTTP/1.1", upgradeLines...); e.StatusCode != http.StatusUnauthorized {
		t.Errorf("the guarded socket as nobody: %d %s", e.StatusCode, e.body)
	}
	r.count(`handshakes_total{outcome="refused",reason="sockets_not_allowed",route="/"}`, "32")
}

// TestPublicRoutesOpenSocketsThatTheyAllow and no others.
func TestPublicRoutesOpenSocketsThatTheyAllow(t *testing.T) {
	b := newBackend(t)
	r := start(t, socketsBesideGuarded(b.URL, func(routes []Route) { routes[0].Sockets = true }))
	r.echoOf(r.socket("/x"), "hello")
	r.echoOf(r.socket("/x", "Origin: "+r.url), "hello")
	n := b.count()
	for _, h := range handshakes {
		if h.status == 403 {
			continue
		}
		if e := r.exactly(h.first+"/x HTTP/1.1", h.lines...); e.StatusCode != h.status || b.count() != n {
			t.Errorf("%s: %d %s", h.name, e.StatusCode, e.body)
		}
	}
	if e := r.exactly("GET /x HTTP/1.1", append([]string{"Origin: https://evil.example"}, upgradeLines...)...); e.StatusCode != http.StatusForbidden || b.count() != n {
		t.Errorf("a foreign page: %d %s", e.StatusCode, e.body)
	}
	if e := r.exactly("GET /ws HTTP/1.1", upgradeLines...); e.StatusCode != http.StatusUnauthorized || b.count() != n {
		t.Errorf("the guarded socket as nobody: %d %s", e.StatusCode, e.body)
	}
}

// TestPublicRoutesTellPagesOfSockets that are refused, where they are to be
// told.
func TestPublicRoutesTellPagesOfSockets(t *testing.T) {
	b := newBackend(t)
	r := start(t, socketsBesideGuarded(b.URL, func(routes []Route) { routes[0].Refusal = wsauth.RefuseClose }))
	r.wantClose(r.socket("/x"), 3003, "sockets_not_allowed")
	if n := b.count(); n != 0 {
		t.Errorf("the backend has %d requests", n)
	}
}

// TestPublicRoutesRefuseSocketsOverTLS by HTTP/1.1. TestH14_ExtendedCONNECT is
// about HTTP/2.
func TestPublicRoutesRefuseSocketsOverTLS(t *testing.T) {
	b := newBackend(t)
	r, _ := overTLS(t, socketsBesideGuarded(b.URL))
	for _, path := range []string{"/", "/x", "/ws/x", "/ws2"} {
		if _, resp, err := r.dialTLS(path); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := b.count(); n != 0 {
		t.Errorf("the backend has %d requests", n)
	}
}

// TestSocketsThatNobodyAskedFor: an upstream cannot make a socket of a plain
// request, on no route.
func TestSocketsThatNobodyAskedFor(t *testing.T) {
	b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
		conn, out, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = out.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + r.Header.Get("X-To") + "\r\nConnection: Upgrade\r\n\r\nhello")
		_ = out.Flush()
		_, _ = io.Copy(io.Discard, conn)
	})
	r := start(t, socketsBesideGuarded(b.URL))
	access, _ := r.login()
	for _, to := range []string{"websocket", "h2c", "tcp"} {
		for _, path := range []string{"/x", "/ws"} {
			for _, offer := range []string{"X-None: x", "Upgrade: h2c"} {
				conn := r.connect()
				_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\n"+bearer(access)+"\r\nX-To: "+to+"\r\n"+offer+"\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusBadGateway {
					t.Errorf("%s, %s, %s: %d", path, to, offer, resp.StatusCode)
				}
				_ = conn.Close()
			}
		}
	}
}

// TestUpdateEndsSocketsOfPublicRoutes that allow none any more.
func TestUpdateEndsSocketsOfPublicRoutes(t *testing.T) {
	b := newBackend(t)
	r := start(t, socketsBesideGuarded(b.URL, func(routes []Route) { routes[0].Sockets = true }))
	conn := r.socket("/x")
	r.echoOf(conn, "hello")
	at := []string{b.URL}
	if err := r.g.Update([]Route{{Path: "/", Upstreams: at, Public: true, Sockets: true, Origins: []string{"https://app.example"}}}); err != nil {
		t.Fatal(err)
	}
	r.echoOf(conn, "still here")
	if err := r.g.Update([]Route{{Path: "/", Upstreams: at, Public: true}}); err != nil {
		t.Fatal(err)
	}
	r.wantClose(conn, 1012, "restarting")
	if _, resp, err := r.trySocket("/x", nil); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("another: %v", err)
	}
	if err := r.g.Update([]Route{{Path: "/", Upstreams: at, Public: true, Sockets: true}}); err != nil {
		t.Fatal(err)
	}
	r.echoOf(r.socket("/x"), "hello")
}
