package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
)

// TestUpstreamOverTLS checks that plain requests and sockets verify upstreams
// with the same roots, and that neither reaches a server with another
// certificate.
func TestUpstreamOverTLS(t *testing.T) {
	b := &backend{}
	b.Server = httptest.NewTLSServer(b)
	t.Cleanup(b.Close)
	roots := x509.NewCertPool()
	roots.AddCert(b.Certificate())
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: []string{b.URL}, TLS: &tls.Config{RootCAs: roots}},
			{Path: "/unknown/", Upstreams: []string{b.URL}},
		}
	})
	access, refresh := r.Login()
	if e := r.get("/a", bearer(access)); e.Text != "GET /a user=test" {
		t.Errorf("got %d %s, want %q", e.StatusCode, e.Text, "GET /a user=test")
	}
	conn := r.socket("/chat", bearer(access))
	r.WantEcho(conn, strings.Repeat("x", 200_000))
	n := b.count()
	if e := r.get("/unknown/a", bearer(access)); e.StatusCode != http.StatusBadGateway {
		t.Errorf("an unknown authority: %d %s", e.StatusCode, e.Text)
	}
	if _, resp, err := r.DialPath("/unknown/chat", nil, bearer(access)); err == nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("an unknown authority, socket: %v", err)
	}
	if b.count() != n {
		t.Error("a request has reached a server that was not verified")
	}
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(conn, 3000, "session_ended")
}

// TestUpstreamOnUnixSocket checks that an upstream may listen on a Unix socket.
func TestUpstreamOnUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(b)
	_ = b.Listener.Close()
	b.Listener = l
	b.Start()
	t.Cleanup(b.Close)
	r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{"unix:" + path}}} })
	access, refresh := r.Login()
	if e := r.get("/a", bearer(access)); e.Text != "GET /a user=test" || b.last().Host != "app.example" {
		t.Errorf("got %d %s", e.StatusCode, e.Text)
	}
	conn := r.socket("/chat", bearer(access))
	r.WantEcho(conn, strings.Repeat("x", 200_000))
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(conn, 3000, "session_ended")
}
