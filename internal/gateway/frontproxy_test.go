package gateway

import (
	"bufio"
	"context"
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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/logintest"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/token"
)

// A frontProxy describes a kind of proxy in front of a gateway.
type frontProxy struct {
	name    string
	network string // of the listener
	tls     bool   // between the proxy and the gateway
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

// proxyHeader returns a header of the PROXY protocol for a connection of a
// client.
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

// A proxiedGateway is a gateway with a proxy in front.
type proxiedGateway struct {
	*rig
	front frontProxy
	addr  net.Addr
	trust *tls.Config
}

// serve serves a gateway behind the proxy, which connects from this machine.
func (f frontProxy) serve(t *testing.T, change ...func(*Config)) *proxiedGateway {
	t.Helper()
	p := &proxiedGateway{front: f}
	log := &wstest.Log{}
	c := Config{
		Tokens: tokens.Config{Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256))))}, Login: login.Config{Users: anyone}, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Front: front.Config{TrustedProxies: []string{"127.0.0.1", "unix"}, ForwardedSource: f.source},
	}
	if f.tls {
		certServer := httptest.NewTLSServer(nil)
		t.Cleanup(certServer.Close)
		c.Front.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certServer.TLS.Certificates[0], nil }
		p.trust = certServer.Client().Transport.(*http.Transport).TLSClientConfig
	}
	for _, f := range change {
		f(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.front.HeaderTimeout = time.Minute // for a busy machine
	l, err := f.listen(t)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.rig = &rig{Client: logintest.Client{T: t}, g: g, log: log, stop: stop, served: make(chan error, 1)}
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
func (p *proxiedGateway) dial(ctx context.Context, client string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, p.addr.Network(), p.addr.String())
	if err == nil && p.front.version > 0 {
		_, err = io.WriteString(conn, proxyHeader(p.front.version, client))
	}
	return conn, err
}

// clientAt returns the client at an address behind the proxy. Its page is one
// of https://app.example, and it sends forged fields.
func (p *proxiedGateway) clientAt(client string, forged ...string) *rig {
	p.T.Helper()
	r := *p.rig
	r.URL = "http://app.example"
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, client) }}
	if p.trust != nil {
		r.URL = "https://app.example"
		transport.TLSClientConfig = p.trust.Clone()
		transport.TLSClientConfig.ServerName = "example.com" // the name in the certificate
	}
	p.T.Cleanup(transport.CloseIdleConnections)
	r.HTTP = &http.Client{
		Transport:     fieldAdder{transport, p.fields(client, forged)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
	return &r
}

// fields returns the header fields that reach the gateway: those of a client
// and those that the proxy adds.
func (p *proxiedGateway) fields(client string, forged []string) http.Header {
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

// A fieldAdder adds fields to requests.
type fieldAdder struct {
	http.RoundTripper
	fields http.Header
}

func (a fieldAdder) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, lines := range a.fields {
		r.Header[name] = lines
	}
	return a.RoundTripper.RoundTrip(r)
}

// scheme returns the scheme of the client, as far as the gateway can know it.
func (f frontProxy) scheme() string {
	if f.version == 1 && !f.tls {
		return "http"
	}
	return "https"
}

// wantClosed checks that the gateway closes a connection that begins with the
// given bytes.
func (p *proxiedGateway) wantClosed(first string) {
	p.T.Helper()
	conn, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		p.T.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, first)
	var timeout net.Error
	if rest, err := io.ReadAll(conn); len(rest) > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		p.T.Errorf("%.20q: got %q, %v, want the end of the connection", first, rest, err)
	}
}

// A keptConn is a connection of the proxy, which sends several requests on it.
type keptConn struct {
	*proxiedGateway
	conn net.Conn
	from *bufio.Reader
}

func (p *proxiedGateway) keep() *keptConn {
	p.T.Helper()
	conn, err := net.Dial(p.addr.Network(), p.addr.String())
	if err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return &keptConn{p, conn, bufio.NewReader(conn)}
}

// get sends a request of a client and returns the status of the answer.
func (k *keptConn) get(path, client, lines string) int {
	k.T.Helper()
	_, _ = fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-For: %s\r\n%s\r\n", path, client, lines)
	answer, err := http.ReadResponse(k.from, nil)
	if err != nil {
		k.T.Fatalf("%s for %s: %v", path, client, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		_, _ = io.Copy(io.Discard, answer.Body)
	}
	return answer.StatusCode
}
