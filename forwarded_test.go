package wsauth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// behindProxy returns a guard that trusts the proxies 10.0.0.1 and this
// machine.
func behindProxy(t *testing.T, change func(*wsauth.Config)) *wsauth.Guard {
	t.Helper()
	c := wsauth.Config{Verifier: fixedVerifier(time.Hour), TrustedProxies: []string{"10.0.0.0/8", "127.0.0.1", "::1"}}
	if change != nil {
		change(&c)
	}
	guard, err := wsauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// handshakeFrom returns a handshake that comes from a peer. Each field is
// "Name: value".
func handshakeFrom(peer string, fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	r.Host, r.RemoteAddr = "app.example", peer
	for _, f := range append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Authorization: Bearer x"}, fields...) {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// TestOriginBehindProxy checks that the guard uses the scheme that a trusted
// proxy reports, and the host and the port if it is configured to. It uses
// nothing that another peer reports.
func TestOriginBehindProxy(t *testing.T) {
	const https, client = "Origin: https://app.example", "X-Forwarded-For: 192.0.2.1"
	for name, tt := range map[string]struct {
		change func(*wsauth.Config)
		peer   string
		fields []string
		want   bool
	}{
		"https":                   {nil, "10.0.0.1:1", []string{https, client, "X-Forwarded-Proto: https"}, true},
		"https by the scheme":     {nil, "10.0.0.1:1", []string{https, "X-Forwarded-Proto: https"}, true},
		"http":                    {nil, "10.0.0.1:1", []string{"Origin: http://app.example", client, "X-Forwarded-Proto: http"}, true},
		"http, where it is not":   {nil, "10.0.0.1:1", []string{"Origin: http://app.example", client, "X-Forwarded-Proto: https"}, false},
		"another site":            {nil, "10.0.0.1:1", []string{"Origin: https://evil.example", client, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}, false},
		"a stranger":              {nil, "203.0.113.9:1", []string{https, client, "X-Forwarded-Proto: https"}, false},
		"no proxy is named":       {func(c *wsauth.Config) { c.TrustedProxies = nil }, "10.0.0.1:1", []string{https, client, "X-Forwarded-Proto: https"}, false},
		"the other source":        {nil, "10.0.0.1:1", []string{https, client, "Forwarded: for=192.0.2.1;proto=https"}, false},
		"Forwarded":               {func(c *wsauth.Config) { c.ForwardedSource = wsauth.Forwarded }, "10.0.0.1:1", []string{https, "Forwarded: for=192.0.2.1;proto=https"}, true},
		"Forwarded, and not X-":   {func(c *wsauth.Config) { c.ForwardedSource = wsauth.Forwarded }, "10.0.0.1:1", []string{https, "X-Forwarded-Proto: https"}, false},
		"a host without setting":  {nil, "10.0.0.1:1", []string{"Origin: https://other.example", client, "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example"}, false},
		"a host":                  {func(c *wsauth.Config) { c.ForwardedHost = true }, "10.0.0.1:1", []string{"Origin: https://other.example", client, "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example"}, true},
		"a port without setting":  {nil, "10.0.0.1:1", []string{"Origin: https://app.example:8443", client, "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"}, false},
		"a port":                  {func(c *wsauth.Config) { c.ForwardedPort = true }, "10.0.0.1:1", []string{"Origin: https://app.example:8443", client, "X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"}, true},
		"no scheme":               {nil, "10.0.0.1:1", []string{https, client}, false},
		"no scheme, and fixed":    {func(c *wsauth.Config) { c.ForwardedScheme = "https" }, "10.0.0.1:1", []string{https, client}, true},
		"fixed, and a stranger":   {func(c *wsauth.Config) { c.ForwardedScheme = "https" }, "203.0.113.9:1", []string{https, client}, false},
		"fixed, and its client's": {func(c *wsauth.Config) { c.ForwardedScheme = "https" }, "10.0.0.1:1", []string{"Origin: http://app.example", client, "X-Forwarded-Proto: http"}, false},
		"cross-site all the same": {nil, "10.0.0.1:1", []string{https, client, "X-Forwarded-Proto: https", "Sec-Fetch-Site: cross-site"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := behindProxy(t, tt.change).Check(handshakeFrom(tt.peer, tt.fields...), wsauth.Access)
			var refusal *wsauth.Error
			switch {
			case tt.want && err != nil:
				t.Errorf("refused: %v", err)
			case !tt.want && (!errors.As(err, &refusal) || refusal.Reason != wsauth.OriginNotAllowed):
				t.Errorf("not refused for its origin: %v", err)
			}
		})
	}
	// A derived guard may have other proxies.
	guard := behindProxy(t, func(c *wsauth.Config) { c.TrustedProxies = nil })
	derived, err := guard.With(func(c *wsauth.Config) { c.TrustedProxies = []string{"private"} })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := derived.Check(handshakeFrom("10.0.0.1:1", https, "X-Forwarded-Proto: https"), wsauth.Access); err != nil {
		t.Errorf("a derived guard: %v", err)
	}
	_, err = guard.Check(handshakeFrom("10.0.0.1:1", https, "X-Forwarded-Proto: https"), wsauth.Access)
	if err == nil || !strings.Contains(err.Error(), "Config.TrustedProxies") {
		t.Errorf("the text names no setting: %v", err)
	}
}

// TestG8_LimitsBehindProxy checks that each client has its own limit, and
// cannot use that of another.
func TestG8_LimitsBehindProxy(t *testing.T) {
	guard := behindProxy(t, func(c *wsauth.Config) { c.Limits.HandshakesPerMinute = 2 })
	try := func(peer, forwarded string) bool {
		_, err := guard.Check(handshakeFrom(peer, "X-Forwarded-For: "+forwarded), wsauth.Access)
		return err == nil
	}
	for i, tt := range []struct {
		peer, forwarded string
		want            bool
	}{
		{"10.0.0.1:1", "192.0.2.1", true},
		{"10.0.0.1:2", "192.0.2.1", true},
		{"10.0.0.1:3", "192.0.2.1", false},
		{"10.0.0.2:4", "192.0.2.1:99", false},
		{"10.0.0.1:5", "198.51.100.1, 192.0.2.1", false},
		{"10.0.0.1:6", "198.51.100.2, 10.0.0.7, 192.0.2.1", false},
		{"10.0.0.1:7", "192.0.2.1, 10.0.0.7", false},
		{"10.0.0.1:8", "192.0.2.2", true},
		{"203.0.113.9:1", "192.0.2.3", true},
		{"203.0.113.9:1", "192.0.2.4", true},
		{"203.0.113.9:1", "192.0.2.5", false},
	} {
		if got := try(tt.peer, tt.forwarded); got != tt.want {
			t.Errorf("handshake %d, of %s by %s: %v", i, tt.forwarded, tt.peer, got)
		}
	}
}

// TestClientBehindProxy checks that limits of open sockets, sessions and logs
// use the address of the client, and that access checks use that of the peer.
func TestClientBehindProxy(t *testing.T) {
	var log wstest.Log
	authorized, handled := make(chan string, 4), make(chan *wsauth.Socket, 4)
	guard := behindProxy(t, func(c *wsauth.Config) {
		c.Limits.PerAddress = 1
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Authorize = func(r *http.Request, _ *token.Claims) error {
			authorized <- r.RemoteAddr
			return nil
		}
	})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RemoteAddr, "127.0.0.1:") {
			t.Errorf("the handler's peer is %s", r.RemoteAddr)
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}})
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		s := wsauth.SocketFrom(r.Context())
		handled <- s
		_, _, _ = conn.Read(r.Context())
	})))
	defer server.Close()
	dial := func(client string) (*websocket.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, response, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer x"}, "X-Forwarded-For": {client}}})
		if response != nil && response.Body != nil {
			_ = response.Body.Close()
		}
		return conn, err
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
		conn, err := dial("127.0.0.1, " + client)
		if err != nil {
			t.Fatalf("%s: %v", client, err)
		}
		defer conn.CloseNow() //nolint:errcheck // the test is over
		if got := (<-handled).RemoteAddr(); got != client+":0" {
			t.Errorf("the socket of %s has the address %s", client, got)
		}
		if got := <-authorized; !strings.HasPrefix(got, "127.0.0.1:") {
			t.Errorf("Authorize is asked for %s", got)
		}
	}
	if conn, err := dial("192.0.2.1"); err == nil {
		_ = conn.CloseNow()
		t.Error("a second socket of one client")
	}
	lines := log.Take()
	for _, want := range []string{`msg="socket opened" remote=192.0.2.2:0`, `msg=refused reason=rate_limited remote=192.0.2.1:0`} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log has no %q: %s", want, lines)
		}
	}
}

// TestRefusalsBehindProxy checks that sockets opened only to be closed are
// counted for the address of their client, not for the proxy's.
func TestRefusalsBehindProxy(t *testing.T) {
	guard := behindProxy(t, func(c *wsauth.Config) {
		c.Refusal = wsauth.RefuseClose
		c.Limits.Unauthenticated, c.Limits.UnauthenticatedPerAddress = 100, 1
	})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.NotFoundHandler()))
	defer server.Close()
	dial := func(client string) int {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, response, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPHeader: http.Header{"X-Forwarded-For": {client}}})
		if err == nil {
			t.Cleanup(func() { _ = conn.CloseNow() })
			return http.StatusSwitchingProtocols
		}
		if response == nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	for _, tt := range []struct {
		client string
		want   int
	}{{"192.0.2.1", 101}, {"192.0.2.1", 401}, {"192.0.2.2", 101}, {"198.51.100.1, 192.0.2.2", 401}} {
		if got := dial(tt.client); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.client, got, tt.want)
		}
	}
}

// TestCookiesBehindProxy checks that the scheme that a trusted proxy reports
// makes cookies Secure, even if the host is this machine.
func TestCookiesBehindProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var secure bool
			guard := behindProxy(t, func(c *wsauth.Config) { c.ForwardedSource = wsauth.Forwarded })
			guard.Require(wsauth.Optional)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				r.Header.Del("Forwarded") // otherwise it would reveal a proxy
				secure = wsauth.Cookies{}.IsSecure(r)
			})).ServeHTTP(httptest.NewRecorder(), func() *http.Request {
				r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
				r.RemoteAddr = "10.0.0.1:1"
				r.Header.Set("Forwarded", "for=192.0.2.1;proto="+scheme)
				return r
			}())
			if secure != (scheme == "https") {
				t.Errorf("secure: %v", secure)
			}
		})
	}
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	if r.TLS = (&tls.ConnectionState{}); !(wsauth.Cookies{}).IsSecure(r) {
		t.Error("not secure over TLS")
	}
}

// TestProxyErrors checks that every error is reported, with its field.
func TestProxyErrors(t *testing.T) {
	for want, change := range map[string]func(*wsauth.Config){
		`TrustedProxies[1]: "10.0.0.1/8" has bits`: func(c *wsauth.Config) { c.TrustedProxies = []string{"private", "10.0.0.1/8", "x"} },
		`TrustedProxies[2]: "x" is not`:            func(c *wsauth.Config) { c.TrustedProxies = []string{"private", "10.0.0.1/8", "x"} },
		`ForwardedSource: "X-Real-IP"`:             func(c *wsauth.Config) { c.ForwardedSource = "X-Real-IP" },
		`ForwardedSource: a guard sees no conn`:    func(c *wsauth.Config) { c.ForwardedSource = "proxy_protocol" },
		`ForwardedScheme: "wss" is neither`:        func(c *wsauth.Config) { c.ForwardedScheme = "wss" },
		`ForwardedPort: `:                          func(c *wsauth.Config) { c.ForwardedSource, c.ForwardedPort = wsauth.Forwarded, true },
	} {
		c := wsauth.Config{Verifier: fixedVerifier(time.Hour)}
		change(&c)
		if _, err := wsauth.New(c); err == nil || !strings.Contains(err.Error(), "wsauth: Config."+want) {
			t.Errorf("no error %q: %v", want, err)
		}
	}
}

// TestProxyHeaderListener checks that if a listener reads the PROXY protocol,
// as in docs/behind-a-proxy.md, a guard limits and logs its clients.
func TestProxyHeaderListener(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Origins: []string{"https://app.example"}, Limits: wsauth.Limits{PerAddress: 1}})
	if err != nil {
		t.Fatal(err)
	}
	remotes := make(chan string, 4)
	handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket := wsauth.SocketFrom(r.Context())
		remotes <- socket.RemoteAddr()
		if conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}}); err == nil {
			_, _, _ = conn.Read(r.Context()) // until it ends
		}
	}))
	policy, err := proxyproto.PolicyFromRanges([]string{"127.0.0.1/32"}, proxyproto.REQUIRE, proxyproto.REJECT)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener = &proxyproto.Listener{Listener: server.Listener, ConnPolicy: policy, ReadHeaderTimeout: time.Minute}
	server.Start()
	t.Cleanup(server.Close)
	dial := func(client string) (*websocket.Conn, error) {
		transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			if err == nil {
				_, err = io.WriteString(conn, "PROXY TCP4 "+client+" 198.51.100.7 5000 443\r\n")
			}
			return conn, err
		}}
		t.Cleanup(transport.CloseIdleConnections)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, "http://app.example/", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: transport},
			HTTPHeader: http.Header{"Origin": {"https://app.example"}, "Authorization": {"Bearer x"}, "X-Forwarded-For": {"192.0.2.9"}},
		})
		if conn != nil {
			t.Cleanup(func() { _ = conn.CloseNow() })
		}
		return conn, err
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
		if _, err := dial(client); err != nil {
			t.Fatal(err)
		}
		if got := <-remotes; got != client+":5000" {
			t.Errorf("%s is %s", client, got)
		}
	}
	if _, err := dial("192.0.2.1"); err == nil {
		t.Error("a second socket of one client")
	}
}

// Handshakes are counted by the client address that a proxy on this machine
// reports.
func ExampleConfig_trustedProxies() {
	guard, err := wsauth.New(wsauth.Config{
		Verifier:       fixedVerifier(time.Hour),
		TrustedProxies: []string{"127.0.0.1", "::1"},
		Limits:         wsauth.Limits{HandshakesPerMinute: 1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"} {
		_, err := guard.Check(handshakeFrom("127.0.0.1:4000", "X-Forwarded-For: "+client), wsauth.Access)
		fmt.Println(client, err == nil)
	}
	// Output:
	// 192.0.2.1 true
	// 192.0.2.1 false
	// 192.0.2.2 true
}
