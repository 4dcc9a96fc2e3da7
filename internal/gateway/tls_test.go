package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
)

// overTLS serves with a replaceable certificate, which the client trusts.
func overTLS(t *testing.T, change ...func(*Config)) (*rig, *atomic.Pointer[tls.Certificate]) {
	t.Helper()
	certServer := httptest.NewTLSServer(nil)
	t.Cleanup(certServer.Close)
	var certificate atomic.Pointer[tls.Certificate]
	certificate.Store(&certServer.TLS.Certificates[0])
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := certServer.Client().Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = true
	return serve(t, l, "https://"+l.Addr().String(), transport, append(change, func(c *Config) {
		c.Front.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil }
	})), &certificate
}

// dialRawTLS opens a connection for requests that a client library would not
// send.
func (r *rig) dialRawTLS() net.Conn {
	r.T.Helper()
	trust := r.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.NextProtos = []string{"http/1.1"}
	conn := must(tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), trust))
	r.T.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// dialTLS opens a socket, on a connection of HTTP/1.1 as browsers do.
func (r *rig) dialTLS(path string, lines ...string) (*websocket.Conn, *http.Response, error) {
	r.T.Helper()
	transport := r.HTTP.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = false
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	client := logintest.Client{T: r.T, URL: r.URL, HTTP: &http.Client{Transport: transport, Timeout: r.HTTP.Timeout}}
	return client.DialPath(path, nil, lines...)
}

func TestTLS(t *testing.T) {
	b := newBackend(t)
	r, _ := overTLS(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
	access, refresh := r.Login()
	if e := r.Call("GET", "/auth/session", "", bearer(access)); e.ProtoMajor != 2 {
		t.Errorf("a plain request came by %s", e.Proto)
	}
	conn, _, err := r.dialTLS("/chat", bearer(access), "Origin: "+r.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.WantEcho(conn, strings.Repeat("x", 300_000))
	if got := b.last().Header.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("X-Forwarded-Proto: %q", got)
	}
	for _, origin := range []string{"http" + strings.TrimPrefix(r.URL, "https"), "https://evil.example"} { // C3, C6
		if _, resp, err := r.dialTLS("/chat", bearer(access), "Origin: "+origin); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %s: %v", origin, err)
		}
	}
	// Event streams over HTTP/2 end with the session, too.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	events, err := r.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	in := bufio.NewReader(events.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "data: hello\n" || events.ProtoMajor != 2 {
		t.Errorf("%q, %v, by %s", line, err, events.Proto)
	}
	if e := r.Call("POST", "/auth/logout", "", bearer(refresh)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("got %d %s, want %v", e.StatusCode, e.Text, http.StatusNoContent)
	}
	r.WantClose(conn, 3000, "session_ended")
	if _, err := io.Copy(io.Discard, in); err == nil {
		t.Error("the event stream ends without an error")
	}
}

// TestTLSOfDemo checks that sockets over TLS use the portable relay, whatever
// serves them.
func TestTLSOfDemo(t *testing.T) {
	r, _ := overTLS(t)
	access, _ := r.Login()
	conn, _, err := r.dialTLS("/ws?ticket="+r.Ticket(access), "Origin: "+r.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(conn); err != nil {
		t.Fatal(err)
	}
	r.WantEcho(conn, "hello")
	r.stop()
	r.WantClose(conn, 1012, "restarting")
}

func TestTLSIsNotOld(t *testing.T) {
	r, certificate := overTLS(t)
	dial := func(maxVersion uint16) (*tls.Conn, error) {
		config := r.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, maxVersion
		return tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), config)
	}
	if conn, err := dial(tls.VersionTLS11); err == nil {
		conn.Close()
		t.Error("a handshake with TLS 1.1 succeeds")
	} else if !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := dial(version)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	certificate.Store(new(tls.Certificate)) // unusable; the next handshake must use it
	if conn, err := dial(tls.VersionTLS13); err == nil {
		conn.Close()
		t.Error("a handshake uses the replaced certificate")
	}
	if strings.Contains(r.log.String(), "TLS handshake error") {
		t.Error("handshakes that fail are in the log of what matters")
	}
}

// TestTLSRefusesPlainRequests checks that a plain HTTP request to a TLS port
// gets only an error that says so.
func TestTLSRefusesPlainRequests(t *testing.T) {
	r, _ := overTLS(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") {
		t.Errorf("got %q, %v", answer, err)
	}
}
