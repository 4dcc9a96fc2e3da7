package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
)

// publicAndGuardedSockets returns a common set of routes to one server: public
// pages and a guarded socket.
func publicAndGuardedSockets(url string, change ...func([]proxy.Route)) func(*Config) {
	return func(c *Config) {
		at := []string{url}
		c.Routes = []proxy.Route{{Path: "/", Upstreams: at, Public: true}, {Path: "/ws", Upstreams: at}}
		for _, f := range change {
			f(c.Routes)
		}
	}
}

// replaceLine returns lines in which line replaces the one with a prefix.
func replaceLine(lines []string, prefix, line string) []string {
	lines = slices.Clone(lines)
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) })
	lines[i] = line
	return lines
}

// TestPublicRoutesRefuseSocketsOverTLS checks that public routes refuse sockets
// over TLS, too (G1), and that the metrics count the refusals. For HTTP/2 see
// TestH14_ExtendedCONNECT of package attack.
func TestPublicRoutesRefuseSocketsOverTLS(t *testing.T) {
	b := newBackend(t)
	r, _ := overTLS(t, publicAndGuardedSockets(b.URL))
	for _, path := range []string{"/", "/x", "/ws/x", "/ws2"} {
		if _, resp, err := r.dialTLS(path); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if n := b.count(); n != 0 {
		t.Errorf("the backend has %d requests", n)
	}
	r.count(`handshakes_total{outcome="refused",reason="sockets_not_allowed",route="/"}`, "4")
}

// TestUpdateEndsSocketsOfPublicRoutes checks that the sockets of a public route
// end when an update unsets its Sockets.
func TestUpdateEndsSocketsOfPublicRoutes(t *testing.T) {
	b := newBackend(t)
	r := start(t, publicAndGuardedSockets(b.URL, func(routes []proxy.Route) { routes[0].Sockets = true }))
	conn := r.socket("/x")
	r.WantEcho(conn, "hello")
	at := []string{b.URL}
	if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: at, Public: true, Sockets: true, Origins: []string{"https://app.example"}}}); err != nil {
		t.Fatal(err)
	}
	r.WantEcho(conn, "still here")
	if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: at, Public: true}}); err != nil {
		t.Fatal(err)
	}
	r.WantClose(conn, 1012, "restarting")
	if _, resp, err := r.DialPath("/x", nil); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("another: %v", err)
	}
	if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: at, Public: true, Sockets: true}}); err != nil {
		t.Fatal(err)
	}
	r.WantEcho(r.socket("/x"), "hello")
}
