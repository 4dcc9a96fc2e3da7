package gateway

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/proxy"
)

// forgeries holds the fields of a client that claims to be another one.
var forgeries = []string{
	"X-Forwarded-For: 127.0.0.1, 10.0.0.1", "X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1;proto=http;host=evil.example", "X-Forwarded-Host: evil.example",
	"X-Forwarded-Port: 1", "X-Forwarded-Proto: gopher", "X_Forwarded_For: 127.0.0.1", "X-Forwarded-Prefix: /x", "True-Client-Ip: 127.0.0.1", "X-Client-Ip: 127.0.0.1",
}

// TestG7_BehindProxy checks that upstreams, sessions, sockets, origins and the
// access log get the address, scheme and host of the client from the proxy,
// whatever the client sends.
func TestG7_BehindProxy(t *testing.T) {
	for _, f := range frontProxies {
		t.Run(f.name, func(t *testing.T) {
			b := newBackend(t)
			p := f.serve(t, func(c *Config) {
				c.AccessLog = true
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}, {Path: "/public/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
			})
			const client = "192.0.2.1:5000"
			r := p.clientAt(client, forgeries...)
			access, _ := r.LoginAs("ada")
			wantForwarded := func(what string) {
				t.Helper()
				in := b.last()
				for name, want := range map[string][]string{
					"X-Forwarded-For": {"192.0.2.1"}, "X-Real-Ip": {"192.0.2.1"}, "X-Forwarded-Proto": {f.scheme()}, "X-Forwarded-Host": {"app.example"},
					"Forwarded": nil, "X-Forwarded-Port": nil, "X_forwarded_for": nil, "X-Forwarded-Prefix": nil, "True-Client-Ip": nil, "X-Client-Ip": nil,
				} {
					if got := in.Header[name]; !slices.Equal(got, want) {
						t.Errorf("%s: %s is %q, want %q", what, name, got, want)
					}
				}
				if in.Host != "app.example" {
					t.Errorf("%s: the host is %s", what, in.Host)
				}
			}
			for _, path := range []string{"/page", "/public/page"} {
				if e := r.Call("GET", path, "", bearer(access)); e.StatusCode != http.StatusOK {
					t.Fatalf("%s: got %d %s, want %v", path, e.StatusCode, e.Text, http.StatusOK)
				}
				wantForwarded(path)
			}
			for _, path := range []string{"/ws", "/public/ws"} {
				conn, response, err := r.DialPath(path, nil, "Origin: "+f.scheme()+"://app.example", bearer(access))
				if err != nil {
					t.Fatalf("%s: %v (%v)", path, err, response)
				}
				wantForwarded(path)
				r.WantEcho(conn, "hello")
			}
			other := map[string]string{"http": "https", "https": "http"}[f.scheme()]
			for _, origin := range []string{other + "://app.example", "https://evil.example", "http://127.0.0.1"} {
				if _, response, err := r.DialPath("/ws", nil, "Origin: "+origin, bearer(access)); err == nil || response == nil || response.StatusCode != http.StatusForbidden {
					t.Errorf("a page of %s: %v, %v", origin, response, err)
				}
			}
			sessions := r.Call("GET", "/auth/sessions", "", bearer(access)).Decode(t)["sessions"].([]any)
			session := sessions[0].(map[string]any)
			sockets := session["sockets"].([]any)
			if len(sessions) != 1 || session["remote"] != "192.0.2.1" || len(sockets) == 0 || sockets[0].(map[string]any)["remote"] != "192.0.2.1" {
				t.Errorf("sessions: %v", sessions)
			}
			for _, want := range []string{"msg=request route=/ host=app.example path=/page remote=192.0.2.1:", "msg=request route=/ host=app.example path=/ws remote=192.0.2.1:", "msg=\"socket opened\" route=/ remote=192.0.2.1:"} {
				if !strings.Contains(r.log.String(), want) {
					t.Errorf("the log has no %q", want)
				}
			}
			for _, never := range []string{"remote=127.0.0.1", "evil.example path", "10.0.0.1", "is not trusted"} {
				if strings.Contains(r.log.String(), never) {
					t.Errorf("the log has %q", never)
				}
			}
		})
	}
}

// TestForwardedScheme checks that with ForwardedScheme, plain requests and
// sockets have that scheme, whatever the proxy sends.
func TestForwardedScheme(t *testing.T) {
	for _, f := range frontProxies {
		t.Run(f.name, func(t *testing.T) {
			b := newBackend(t)
			p := f.serve(t, func(c *Config) {
				c.Front.ForwardedScheme = "https"
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
			})
			r := p.clientAt("192.0.2.1:5000", "X-Forwarded-Proto: http", "Forwarded: for=192.0.2.1;proto=http")
			if e := r.Call("GET", "/page", ""); e.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s, want %v", e.StatusCode, e.Text, http.StatusOK)
			}
			if got := b.last().Header.Get("X-Forwarded-Proto"); got != "https" {
				t.Errorf("the upstream of a plain request gets %q", got)
			}
			if _, response, err := r.DialPath("/ws", nil, "Origin: https://app.example"); err != nil {
				t.Errorf("a socket of its own page: %v, %v", err, response)
			} else if got := b.last().Header.Get("X-Forwarded-Proto"); got != "https" {
				t.Errorf("the upstream of a socket gets %q", got)
			}
			if _, response, err := r.DialPath("/ws", nil, "Origin: http://app.example"); err == nil || response == nil || response.StatusCode != http.StatusForbidden {
				t.Errorf("a page without TLS: %v, %v", response, err)
			}
		})
	}
}

// TestG7_ProxyHeaderRequired checks that a gateway that expects the PROXY
// protocol closes connections without it, and those of untrusted peers.
func TestG7_ProxyHeaderRequired(t *testing.T) {
	for _, f := range frontProxies[5:] {
		t.Run(f.name, func(t *testing.T) {
			p := f.serve(t)
			for _, first := range []string{"GET /livez HTTP/1.1\r\nHost: app.example\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 32), "PROXY TCP4 127.0.0.1\r\n"} {
				p.wantClosed(first)
			}
			if e := p.clientAt("192.0.2.1:1").Call("GET", "/livez", ""); e.StatusCode != http.StatusOK {
				t.Errorf("with a header: %d", e.StatusCode)
			}
			if n := strings.Count(p.log.String(), "closed connections that did not begin with a PROXY header"); n != 1 {
				t.Errorf("the log has %d lines of it: %s", n, p.log)
			}
			strangers := f.serve(t, func(c *Config) { c.Front.TrustedProxies = []string{"192.0.2.0/24"} })
			strangers.wantClosed(proxyHeader(f.version, "192.0.2.1:1") + "GET /livez HTTP/1.1\r\nHost: app.example\r\n\r\n")
			if !strings.Contains(strangers.log.String(), "the peer is not a trusted proxy") {
				t.Errorf("the log: %s", strangers.log)
			}
		})
	}
}

// TestConnectionsOfTheProxyItself checks that a connection that the proxy opens
// for itself, for example for a health check, has the address of the proxy.
func TestConnectionsOfTheProxyItself(t *testing.T) {
	b := newBackend(t)
	p := frontProxy{"PROXY 2", "tcp", false, forwarded.ProxyProtocol, 2}.serve(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
	})
	for _, header := range []string{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "PROXY UNKNOWN\r\n"} {
		conn, err := net.Dial("tcp", p.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, header+"GET /x HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
		if text, err := io.ReadAll(conn); err != nil || !strings.Contains(string(text), "200 OK") {
			t.Errorf("got %q, %v, want 200", text, err)
		}
		_ = conn.Close()
		if got := b.last().Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
			t.Errorf("the upstream gets %s", got)
		}
	}
}

// TestClientWithoutAddress checks that the PROXY header of a client without an
// IP address, for example on a Unix socket of the proxy, still determines the
// scheme.
func TestClientWithoutAddress(t *testing.T) {
	const head = "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00"
	addresses := strings.Repeat("/", 216)
	for header, want := range map[string]string{
		head + "\xe0" + addresses + "\x20\x00\x05\x01\x00\x00\x00\x00": "https",
		head + "\xe0" + addresses + "\x20\x00\x05\x00\x00\x00\x00\x01": "http",
		head + "\xd8" + addresses:                                      "http",
		"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00":                       "http", // LOCAL
	} {
		b := newBackend(t)
		p := frontProxy{"PROXY 2", "tcp", false, forwarded.ProxyProtocol, 2}.serve(t, func(c *Config) {
			c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
		})
		conn := p.keep()
		_, _ = io.WriteString(conn.conn, header)
		if got := conn.get("/x", "192.0.2.9", ""); got != http.StatusOK {
			t.Fatalf("%q: got %d, want %v", header, got, http.StatusOK)
		}
		if in := b.last().Header; in.Get("X-Forwarded-Proto") != want || in.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%q: %s by %s, want %s", header, in.Get("X-Forwarded-For"), in.Get("X-Forwarded-Proto"), want)
		}
	}
}

// TestForwardedHostChoosesTheRoute checks that X-Forwarded-Host selects the
// route only with ForwardedHost.
func TestForwardedHostChoosesTheRoute(t *testing.T) {
	for _, set := range []bool{false, true} {
		b := newBackend(t)
		r := start(t, func(c *Config) {
			c.Front.TrustedProxies, c.Front.ForwardedHost, c.Front.ForwardedPort = []string{"127.0.0.1"}, set, set
			c.Routes = []proxy.Route{{Host: "app.example", Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true}, {Path: "/", Upstreams: []string{b.URL}}}
		})
		lines := []string{"Host: backend.internal:8000", "X-Forwarded-Host: app.example", "X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"}
		want, host := http.StatusUnauthorized, ""
		if set {
			want, host = http.StatusOK, "app.example:8443"
		}
		if e := r.get("/x", lines...); e.StatusCode != want {
			t.Errorf("set %v: %d", set, e.StatusCode)
		}
		if in := b.last(); set && (in.Host != host || in.Header.Get("X-Forwarded-Host") != host || in.Header.Get("X-Forwarded-Proto") != "https") {
			t.Errorf("the upstream gets %s, %v", in.Host, in.Header)
		}
		upgrade := append(slices.Concat(lines, upgradeLines), "Origin: https://app.example:8443")
		conn := r.Connect()
		_, _ = io.WriteString(conn, "GET /ws HTTP/1.1\r\n"+strings.Join(upgrade, "\r\n")+"\r\n\r\n")
		line := make([]byte, len("HTTP/1.1 101"))
		if _, err := io.ReadFull(conn, line); err != nil || (string(line) == "HTTP/1.1 101") != set {
			t.Errorf("set %v: a socket: %q, %v", set, line, err)
		}
	}
}

// TestAdminIgnoresForwardingHeaders checks that forwarding headers have no
// effect on the API for operators.
func TestAdminIgnoresForwardingHeaders(t *testing.T) {
	r := start(t, func(c *Config) { c.Front.TrustedProxies = []string{"private", "unix"} })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(path, []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.serveAdmin(l, admin.Config{TokenFile: must(admin.OpenTokenFile(path))})
	q, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer wrong")
	for i := range 30 {
		q.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i)) // a trusted proxy would thus get new attempts
		response, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if log := r.log.String(); !strings.Contains(log, "reason=token_invalid remote=127.0.0.1") || strings.Contains(log, "remote=192.0.2.") {
		t.Errorf("the log: %s", log)
	}
}
