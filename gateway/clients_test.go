package gateway

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/token"
)

// A frontProxy is a kind of proxy in front of a gateway.
type frontProxy struct {
	name    string
	network string // of the listener
	tls     bool   // of the gateway's own; the proxy has ended another
	source  forwarded.Source
	version int // of the PROXY protocol
}

var frontProxies = []frontProxy{
	{"X-Forwarded-For", "tcp", false, forwarded.XForwardedFor, 0},
	{"X-Forwarded-For over TLS", "tcp", true, forwarded.XForwardedFor, 0},
	{"X-Forwarded-For on a Unix socket", "unix", false, forwarded.XForwardedFor, 0},
	{"Forwarded", "tcp", false, forwarded.Forwarded, 0},
	{"Forwarded over TLS", "tcp", true, forwarded.Forwarded, 0},
	{"PROXY 1", "tcp", false, forwarded.ProxyProtocol, 1},
	{"PROXY 1 over TLS", "tcp", true, forwarded.ProxyProtocol, 1},
	{"PROXY 2", "tcp", false, forwarded.ProxyProtocol, 2},
	{"PROXY 2 over TLS", "tcp", true, forwarded.ProxyProtocol, 2},
	{"PROXY 2 on a Unix socket", "unix", false, forwarded.ProxyProtocol, 2},
}

// proxyHeader is a header of the PROXY protocol for a connection of client.
func proxyHeader(version int, client string) string {
	from := netip.MustParseAddrPort(client)
	if version == 1 {
		return fmt.Sprintf("PROXY TCP4 %s 198.51.100.7 %d 443\r\n", from.Addr(), from.Port())
	}
	addrs := append(from.Addr().AsSlice(), 198, 51, 100, 7)
	addrs = binary.BigEndian.AppendUint16(addrs, from.Port())
	addrs = append(addrs, 1, 0xbb)
	const usedTLS = "\x20\x00\x05\x01\x00\x00\x00\x00"
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x14" + string(addrs) + usedTLS
}

// A proxied is a gateway with a proxy in front.
type proxied struct {
	*rig
	front frontProxy
	addr  net.Addr
	trust *tls.Config
}

// serve serves a gateway behind the proxy, which is this machine.
func (f frontProxy) serve(t *testing.T, change ...func(*Config)) *proxied {
	t.Helper()
	p := &proxied{front: f}
	log := &logBuffer{}
	c := Config{
		Tokens: tokens.Config{Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256))))}, Login: login.Config{Users: anyone}, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Front: front.Config{TrustedProxies: []string{"127.0.0.1", "unix"}, ForwardedSource: f.source},
	}
	if f.tls {
		lender := httptest.NewTLSServer(nil)
		t.Cleanup(lender.Close)
		c.Front.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &lender.TLS.Certificates[0], nil }
		p.trust = lender.Client().Transport.(*http.Transport).TLSClientConfig
	}
	for _, f := range change {
		f(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.front.HeaderTimeout = time.Minute // for a machine that is busy
	l, err := f.listen(t)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.rig = &rig{t: t, g: g, log: log, stop: stop, served: make(chan error, 1)}
	p.addr = l.Addr()
	go func() { p.served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-p.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	p.awaitReady()
	return p
}

func (f frontProxy) listen(t *testing.T) (net.Listener, error) {
	if f.network == "unix" {
		return net.Listen("unix", filepath.Join(shortDir(t), "s"))
	}
	return front.Listen(t.Context(), "127.0.0.1:0")
}

// dial connects as the proxy does for a client.
func (p *proxied) dial(ctx context.Context, client string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, p.addr.Network(), p.addr.String())
	if err == nil && p.front.version > 0 {
		_, err = io.WriteString(conn, proxyHeader(p.front.version, client))
	}
	return conn, err
}

// of is a client at an address, behind the proxy, whose page is of
// https://app.example. It sends forged fields of its own.
func (p *proxied) of(client string, forged ...string) *rig {
	p.t.Helper()
	r := *p.rig
	r.url = "http://app.example"
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, client) }}
	if p.trust != nil {
		r.url = "https://app.example"
		transport.TLSClientConfig = p.trust.Clone()
		transport.TLSClientConfig.ServerName = "example.com" // for which the certificate is
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	r.client = &http.Client{
		Transport:     adding{transport, p.fields(client, forged)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	return &r
}

// fields are those that reach the gateway: those of a client, and what the
// proxy adds.
func (p *proxied) fields(client string, forged []string) http.Header {
	h := http.Header{}
	for _, line := range forged {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	addr := netip.MustParseAddrPort(client).Addr().String()
	switch p.front.source {
	case forwarded.XForwardedFor:
		h.Set("X-Forwarded-For", strings.Join(append(h["X-Forwarded-For"], addr), ", ")) // appended
		h.Set("X-Forwarded-Proto", "https")                                              // replaced
	case forwarded.Forwarded:
		h.Add("Forwarded", "for="+addr+";proto=https;host=app.example")
	}
	return h
}

// adding adds fields to requests.
type adding struct {
	http.RoundTripper
	fields http.Header
}

func (a adding) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, lines := range a.fields {
		r.Header[name] = lines
	}
	return a.RoundTripper.RoundTrip(r)
}

// scheme is that which the client has used, as far as the gateway can know.
func (f frontProxy) scheme() string {
	if f.version == 1 && !f.tls {
		return "http"
	}
	return "https"
}

// forgeries are what a client sends that wants to be somebody else.
var forgeries = []string{
	"X-Forwarded-For: 127.0.0.1, 10.0.0.1", "X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1;proto=http;host=evil.example", "X-Forwarded-Host: evil.example",
	"X-Forwarded-Port: 1", "X-Forwarded-Proto: gopher", "X_Forwarded_For: 127.0.0.1", "X-Forwarded-Prefix: /x", "True-Client-Ip: 127.0.0.1", "X-Client-Ip: 127.0.0.1",
}

// TestG7_BehindProxy: upstreams, sessions, sockets, origins and the access log
// have the client, its scheme and its host, whatever the client says itself.
func TestG7_BehindProxy(t *testing.T) {
	for _, f := range frontProxies {
		t.Run(f.name, func(t *testing.T) {
			b := newBackend(t)
			p := f.serve(t, func(c *Config) {
				c.AccessLog = true
				c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}}, {Path: "/public/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
			})
			const client = "192.0.2.1:5000"
			r := p.of(client, forgeries...)
			access, _ := r.loginAs("ada")
			arrives := func(what string) {
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
				if e := r.call("GET", path, "", bearer(access)); e.StatusCode != http.StatusOK {
					t.Fatalf("%s: %d %s", path, e.StatusCode, e.body)
				}
				arrives(path)
			}
			for _, path := range []string{"/ws", "/public/ws"} {
				conn, response, err := r.dialAt(path, "Origin: "+f.scheme()+"://app.example", bearer(access))
				if err != nil {
					t.Fatalf("%s: %v (%v)", path, err, response)
				}
				arrives(path)
				r.echoOf(conn, "hello")
			}
			other := map[string]string{"http": "https", "https": "http"}[f.scheme()]
			for _, origin := range []string{other + "://app.example", "https://evil.example", "http://127.0.0.1"} {
				if _, response, err := r.dialAt("/ws", "Origin: "+origin, bearer(access)); err == nil || response == nil || response.StatusCode != http.StatusForbidden {
					t.Errorf("a page of %s: %v, %v", origin, response, err)
				}
			}
			sessions := r.call("GET", "/auth/sessions", "", bearer(access)).decode(t)["sessions"].([]any)
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

// dialAt opens a socket at a path.
func (r *rig) dialAt(path string, lines ...string) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, r.url+path, &websocket.DialOptions{HTTPHeader: h, HTTPClient: r.client})
	if conn != nil {
		conn.SetReadLimit(-1)
		r.t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, response, err
}

// TestG8_ClientsBehindProxy: a client that has spent its tries, or its
// sockets, has spent nobody else's, and has no others by saying that it is
// somebody else.
func TestG8_ClientsBehindProxy(t *testing.T) {
	for _, f := range frontProxies {
		t.Run(f.name, func(t *testing.T) {
			b := newBackend(t)
			p := f.serve(t, func(c *Config) {
				c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = 100, 4
				c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true, Limits: RouteLimits{PerMinute: 5}}}
			})
			try := func(r *rig, name string) int {
				return r.call("POST", "/auth/login", `{"username":"`+name+`","password":"wrong"}`, jsonType).StatusCode
			}
			mallory, ada := p.of("192.0.2.66:1"), p.of("192.0.2.1:1")
			tries := 0
			for status := 401; status != http.StatusTooManyRequests; tries++ {
				if status = try(mallory, fmt.Sprint("user", tries)); tries > 200 {
					t.Fatalf("%d tries, and still %d", tries, status)
				}
			}
			if tries < 20 {
				t.Errorf("refused after %d tries", tries)
			}
			if got := try(p.of("192.0.2.66:2", "X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.1"), "another"); got != http.StatusTooManyRequests {
				t.Errorf("under another name: %d", got)
			}
			if got := try(ada, "ada"); got != http.StatusUnauthorized {
				t.Errorf("another client: %d", got)
			}
			opened := 0
			for range 8 {
				if _, _, err := mallory.dialAt("/ws"); err == nil {
					opened++
				}
			}
			if opened > 4 || opened == 0 {
				t.Errorf("%d sockets of one client, where one address may have 4 connections", opened)
			}
			// All of its connections are sockets now, or what comes through
			// the proxy is an answer that does not end.
			for range 4 - opened {
				events, err := mallory.client.Get(mallory.url + "/events")
				if err != nil {
					t.Fatal(err)
				}
				defer events.Body.Close()
			}
			if response, err := mallory.client.Get(mallory.url + "/page"); err == nil {
				if response.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("one more request of that client: %s", response.Status)
				}
				_ = response.Body.Close()
			}
			if e := ada.call("GET", "/page", ""); e.StatusCode != http.StatusOK {
				t.Errorf("a request of another client: %d %s", e.StatusCode, e.body)
			}
			for range 3 {
				conn, _, err := ada.dialAt("/ws")
				if err != nil {
					t.Fatalf("another client: %v", err)
				}
				ada.echoOf(conn, "hello")
			}
		})
	}
}

// TestBehindProxyOverHTTP2: requests of several clients on one connection have
// a client each.
func TestBehindProxyOverHTTP2(t *testing.T) {
	b := newBackend(t)
	r, _ := overTLS(t, func(c *Config) {
		c.Front.TrustedProxies, c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = []string{"127.0.0.1"}, 10, 1
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
	})
	for i := range 9 {
		client := fmt.Sprint("192.0.2.", i%3+1)
		e := r.call("GET", "/page", "", "X-Forwarded-For: 127.0.0.1, "+client, "X-Forwarded-Proto: http")
		if e.StatusCode != http.StatusOK || e.ProtoMajor != 2 {
			t.Fatalf("%d by %s", e.StatusCode, e.Proto)
		}
		if in := b.last().Header; in.Get("X-Forwarded-For") != client || in.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("%s arrives as %s by %s", client, in.Get("X-Forwarded-For"), in.Get("X-Forwarded-Proto"))
		}
	}
}

// TestG8_StreamsOfOneClient: requests that share a connection are bounded for
// each client, with a proxy and without, and a refusal ends nobody else's.
func TestG8_StreamsOfOneClient(t *testing.T) {
	for name, trusted := range map[string][]string{"behind a proxy": {"127.0.0.1"}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			r, _ := overTLS(t, func(c *Config) {
				c.Front.TrustedProxies, c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = trusted, 20, 3
				c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
			})
			open := func(client string) *http.Response {
				t.Helper()
				q, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/events", nil)
				if err != nil {
					t.Fatal(err)
				}
				q.Header.Set("X-Forwarded-For", client)
				response, err := r.client.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = response.Body.Close() })
				return response
			}
			var held []*http.Response
			for i := range 5 {
				response := open("192.0.2.66")
				want := http.StatusOK
				if i >= 3 {
					want = http.StatusServiceUnavailable
				}
				if response.StatusCode != want || response.ProtoMajor != 2 {
					t.Fatalf("stream %d: %s by %s", i, response.Status, response.Proto)
				}
				held = append(held, response)
			}
			if response := open("192.0.2.1"); trusted != nil && response.StatusCode != http.StatusOK {
				t.Errorf("a stream of another client: %s", response.Status)
			}
			if _, err := io.ReadFull(held[0].Body, make([]byte, 1)); err != nil {
				t.Errorf("a stream that was open: %v", err)
			}
			_ = held[1].Body.Close() // which the gateway learns later
			for begun := time.Now(); ; time.Sleep(time.Millisecond) {
				if response := open("192.0.2.66"); response.StatusCode == http.StatusOK {
					break
				}
				if time.Since(begun) > time.Minute {
					t.Fatal("the place of a stream that has ended is kept")
				}
			}
			if e := r.call("GET", "/livez", "", "X-Forwarded-For: 192.0.2.66"); e.StatusCode != http.StatusOK {
				t.Errorf("/livez: %d", e.StatusCode)
			}
		})
	}
}

// TestForwardedScheme: a proxy that ends TLS without a word of it is believed
// to have done so where the setting says it, for plain requests and sockets
// alike.
func TestForwardedScheme(t *testing.T) {
	for _, f := range frontProxies {
		t.Run(f.name, func(t *testing.T) {
			b := newBackend(t)
			p := f.serve(t, func(c *Config) {
				c.Front.ForwardedScheme = "https"
				c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
			})
			r := p.of("192.0.2.1:5000", "X-Forwarded-Proto: http", "Forwarded: for=192.0.2.1;proto=http")
			if e := r.call("GET", "/page", ""); e.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", e.StatusCode, e.body)
			}
			if got := b.last().Header.Get("X-Forwarded-Proto"); got != "https" {
				t.Errorf("the upstream of a plain request is told %q", got)
			}
			if _, response, err := r.dialAt("/ws", "Origin: https://app.example"); err != nil {
				t.Errorf("a socket of its own page: %v, %v", err, response)
			} else if got := b.last().Header.Get("X-Forwarded-Proto"); got != "https" {
				t.Errorf("the upstream of a socket is told %q", got)
			}
			if _, response, err := r.dialAt("/ws", "Origin: http://app.example"); err == nil || response == nil || response.StatusCode != http.StatusForbidden {
				t.Errorf("a page without TLS: %v, %v", response, err)
			}
		})
	}
}

// TestG7_StrangersHeaders: a peer that is not trusted is who it is, and the
// log says once which setting may be missing.
func TestG7_StrangersHeaders(t *testing.T) {
	for _, trusted := range [][]string{nil, {"192.0.2.0/24", "unix"}} {
		b := newBackend(t)
		r := behind(t, b, func(c *Config) { c.Front.TrustedProxies = trusted })
		lines := append(slices.Clone(forgeries), "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1;proto=https")
		for range 3 {
			if e := r.get("/public/x", lines...); e.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", e.StatusCode, e.body)
			}
			in := b.last()
			for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "app.example", "Forwarded": ""} {
				if got := strings.Join(in.Header[name], "|"); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
		if e := r.exactly("GET /public/ws HTTP/1.1", append(lines, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://app.example")...); e.StatusCode != http.StatusForbidden {
			t.Errorf("a page of https: %d", e.StatusCode)
		}
		if n := strings.Count(r.log.String(), "add it to trusted_proxies"); n != 1 {
			t.Errorf("the log says %d times that a setting may be missing", n)
		}
		if strings.Contains(r.log.String(), "192.0.2.1") {
			t.Error("the log has what a stranger says")
		}
	}
}

// TestG7_ProxyHeaderRequired: where the PROXY protocol is the source, there is
// no way in without it, and none for a peer that is not trusted.
func TestG7_ProxyHeaderRequired(t *testing.T) {
	for _, f := range frontProxies[5:] {
		t.Run(f.name, func(t *testing.T) {
			p := f.serve(t)
			for _, first := range []string{"GET /livez HTTP/1.1\r\nHost: app.example\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 32), "PROXY TCP4 127.0.0.1\r\n"} {
				p.isClosed(first)
			}
			if e := p.of("192.0.2.1:1").call("GET", "/livez", ""); e.StatusCode != http.StatusOK {
				t.Errorf("with a header: %d", e.StatusCode)
			}
			if n := strings.Count(p.log.String(), "closed connections that did not begin with a PROXY header"); n != 1 {
				t.Errorf("the log has %d lines of it: %s", n, p.log)
			}
			strangers := f.serve(t, func(c *Config) { c.Front.TrustedProxies = []string{"192.0.2.0/24"} })
			strangers.isClosed(proxyHeader(f.version, "192.0.2.1:1") + "GET /livez HTTP/1.1\r\nHost: app.example\r\n\r\n")
			if !strings.Contains(strangers.log.String(), "the peer is not a trusted proxy") {
				t.Errorf("the log: %s", strangers.log)
			}
		})
	}
}

// isClosed fails unless the gateway hangs up on who says that first.
func (p *proxied) isClosed(first string) {
	p.t.Helper()
	conn, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, first)
	var timeout net.Error
	if rest, err := io.ReadAll(conn); len(rest) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Errorf("%.20q: it got %q, %v", first, rest, err)
	}
}

// TestProxySpeaksForItself: a connection that the proxy opens for itself is
// the proxy's, as that of its health checks.
func TestProxySpeaksForItself(t *testing.T) {
	b := newBackend(t)
	p := frontProxy{"PROXY 2", "tcp", false, forwarded.ProxyProtocol, 2}.serve(t, func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
	})
	for _, header := range []string{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "PROXY UNKNOWN\r\n"} {
		conn, err := net.Dial("tcp", p.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, header+"GET /x HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
		if text, err := io.ReadAll(conn); err != nil || !strings.Contains(string(text), "200 OK") {
			t.Errorf("%q, %v", text, err)
		}
		_ = conn.Close()
		if got := b.last().Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
			t.Errorf("the upstream is told of %s", got)
		}
	}
}

// TestClientWithoutAddress: a proxy whose client has no address of TCP, as one
// on a Unix socket of the proxy, is believed about its TLS.
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
			c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
		})
		conn := p.keep()
		_, _ = io.WriteString(conn.conn, header)
		if got := conn.get("/x", "192.0.2.9", ""); got != http.StatusOK {
			t.Fatalf("%q: %d", header, got)
		}
		if in := b.last().Header; in.Get("X-Forwarded-Proto") != want || in.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("%q: %s by %s, want %s", header, in.Get("X-Forwarded-For"), in.Get("X-Forwarded-Proto"), want)
		}
	}
}

// TestForwardedHostChoosesTheRoute: and without the setting it does not.
func TestForwardedHostChoosesTheRoute(t *testing.T) {
	for _, set := range []bool{false, true} {
		b := newBackend(t)
		r := start(t, func(c *Config) {
			c.Front.TrustedProxies, c.Front.ForwardedHost, c.Front.ForwardedPort = []string{"127.0.0.1"}, set, set
			c.Routes = []Route{{Host: "app.example", Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true}, {Path: "/", Upstreams: []string{b.URL}}}
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
			t.Errorf("the upstream is told of %s, %v", in.Host, in.Header)
		}
		upgrade := append(lines, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://app.example:8443")
		conn := r.connect()
		_, _ = io.WriteString(conn, "GET /ws HTTP/1.1\r\n"+strings.Join(upgrade, "\r\n")+"\r\n\r\n")
		line := make([]byte, len("HTTP/1.1 101"))
		if _, err := io.ReadFull(conn, line); err != nil || (string(line) == "HTTP/1.1 101") != set {
			t.Errorf("set %v: a socket: %q, %v", set, line, err)
		}
	}
}

// TestOperatorsSeeThePeer: what a proxy says has no say about operators.
func TestOperatorsSeeThePeer(t *testing.T) {
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
		q.Header.Set("X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i)) // to have tries of its own
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

// TestG8_RefusedUpgradesAreNoSockets: a proxy keeps a connection on which an
// upgrade was refused, for the requests of others: it counts for each of them
// while it carries theirs, and for nobody after that.
func TestG8_RefusedUpgradesAreNoSockets(t *testing.T) {
	b := newBackend(t)
	p := frontProxies[0].serve(t, func(c *Config) {
		c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = 100, 1
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
	})
	const asks = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	kept := make([]*kept, 3)
	for i := range kept {
		kept[i] = p.keep()
		kept[i].get("/page", "192.0.2.1", "") // an upgrade that comes first ends its connection
		for range 2 {
			if got := kept[i].get("/auth/session", "192.0.2.66", asks); got != http.StatusUnauthorized {
				t.Fatalf("connection %d of mallory: %d", i, got)
			}
		}
	}
	for i, conn := range kept {
		for _, client := range []string{"192.0.2.66", "192.0.2.1"} {
			if got := conn.get("/page", client, ""); got != http.StatusOK {
				t.Errorf("connection %d: a request of %s: %d", i, client, got)
			}
		}
	}
	for i, want := range []int{http.StatusSwitchingProtocols, http.StatusServiceUnavailable} {
		if got := kept[i].get("/ws", "192.0.2.1", asks); got != want {
			t.Errorf("socket %d of a client that may have one: %d, want %d", i, got, want)
		}
	}
	if got := kept[2].get("/ws", "192.0.2.2", asks); got != http.StatusSwitchingProtocols {
		t.Errorf("a socket of another client: %d", got)
	}
}

// A kept is a connection of the proxy that carries one request after the
// other.
type kept struct {
	*proxied
	conn net.Conn
	from *bufio.Reader
}

func (p *proxied) keep() *kept {
	p.t.Helper()
	conn, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return &kept{p, conn, bufio.NewReader(conn)}
}

// get sends a request of a client, and returns the status of the answer.
func (k *kept) get(path, client, lines string) int {
	k.t.Helper()
	_, _ = fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: %s\r\n%s\r\n", path, client, lines)
	answer, err := http.ReadResponse(k.from, nil)
	if err != nil {
		k.t.Fatalf("%s for %s: %v", path, client, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	return answer.StatusCode
}
