package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
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
)

// overTLS serves with a replaceable certificate, which the client trusts.
func overTLS(t *testing.T, change ...func(*Config)) (*rig, *atomic.Pointer[tls.Certificate]) {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	t.Cleanup(lender.Close)
	var certificate atomic.Pointer[tls.Certificate]
	certificate.Store(&lender.TLS.Certificates[0])
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := lender.Client().Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = true
	return serve(t, l, "https://"+l.Addr().String(), transport, append(change, func(c *Config) {
		c.Front.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil }
	})), &certificate
}

// dialRawTLS opens a connection for requests that a client library would not
// send.
func (r *rig) dialRawTLS() net.Conn {
	r.t.Helper()
	trust := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.NextProtos = []string{"http/1.1"}
	conn := must(tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), trust))
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// dialTLS opens a socket, on a connection of HTTP/1.1 as browsers do.
func (r *rig) dialTLS(path string, lines ...string) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	transport := r.client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = false
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, r.url+path, &websocket.DialOptions{HTTPHeader: h, HTTPClient: &http.Client{Transport: transport}})
	if conn != nil {
		conn.SetReadLimit(-1)
		r.t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, resp, err
}

func TestTLS(t *testing.T) {
	b := newBackend(t)
	r, _ := overTLS(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
	access, refresh := r.login()
	if e := r.call("GET", "/auth/session", "", bearer(access)); e.ProtoMajor != 2 {
		t.Errorf("a plain request came by %s", e.Proto)
	}
	conn, _, err := r.dialTLS("/chat", bearer(access), "Origin: "+r.url)
	if err != nil {
		t.Fatal(err)
	}
	r.echoOf(conn, strings.Repeat("x", 300_000))
	if got := b.last().Header.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("X-Forwarded-Proto: %q", got)
	}
	for _, origin := range []string{"http" + strings.TrimPrefix(r.url, "https"), "https://evil.example"} { // C3, C6
		if _, resp, err := r.dialTLS("/chat", bearer(access), "Origin: "+origin); err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("origin %s: %v", origin, err)
		}
	}
	// Event streams over HTTP/2 end with the session, too.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	events, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	in := bufio.NewReader(events.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "data: hello\n" || events.ProtoMajor != 2 {
		t.Errorf("%q, %v, by %s", line, err, events.Proto)
	}
	if e := r.call("POST", "/auth/logout", "", bearer(refresh)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	r.wantClose(conn, 3000, "session_ended")
	if _, err := io.Copy(io.Discard, in); err == nil {
		t.Error("the event stream ends without an error")
	}
}

// TestTLSOfDemo checks that sockets over TLS use the portable relay, whatever
// serves them.
func TestTLSOfDemo(t *testing.T) {
	r, _ := overTLS(t)
	access, _ := r.login()
	conn, _, err := r.dialTLS("/ws?ticket="+r.ticket(access), "Origin: "+r.url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.read(conn); err != nil {
		t.Fatal(err)
	}
	r.echoOf(conn, "hello")
	r.stop()
	r.wantClose(conn, 1012, "restarting")
}

// TestH14_ExtendedCONNECT checks that sockets over HTTP/2 (RFC 8441) are
// neither offered nor accepted.
func TestH14_ExtendedCONNECT(t *testing.T) {
	b := newBackend(t)
	for name, change := range map[string]func(*Config){
		"demonstration": func(*Config) {},
		"guarded":       func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} },
		"public":        func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}} },
	} {
		t.Run(name, func(t *testing.T) { extendedConnect(t, change) })
	}
	if n := b.count(); n != 0 {
		t.Errorf("the backend has %d requests", n)
	}
}

func extendedConnect(t *testing.T, change func(*Config)) {
	r, _ := overTLS(t, change)
	access, _ := r.login()
	config := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	const settings, headers, rstStream = 4, 1, 3 // RFC 9113 section 6
	block := []byte{}
	for _, field := range [][2]string{
		{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/ws"}, {":authority", "app.example"},
		{"sec-websocket-version", "13"}, {"origin", r.url}, {"authorization", "Bearer " + access},
	} {
		block = appendLiteral(appendLiteral(append(block, 0), field[0]), field[1]) // RFC 7541 section 6.2.2
	}
	hello := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, nil)...)
	if _, err := conn.Write(append(hello, frame(headers, 4, 1, block)...)); err != nil {
		t.Fatal(err)
	}
	for {
		kind, stream, payload := readFrame(t, conn)
		switch {
		case kind == settings:
			for p := payload; len(p) >= 6; p = p[6:] {
				if id := binary.BigEndian.Uint16(p); id == 8 { // RFC 8441 section 3
					t.Error("the extended CONNECT is offered")
				}
			}
		case kind == rstStream && stream == 1:
			return
		case kind == headers && stream == 1:
			t.Fatal("the request was answered, not refused")
		}
	}
}

// appendLiteral appends a string of HPACK as it is (RFC 7541 section 5.2).
func appendLiteral(b []byte, s string) []byte {
	if len(s) < 127 {
		return append(append(b, byte(len(s))), s...)
	}
	b = append(b, 127)
	rest := len(s) - 127
	for ; rest >= 128; rest >>= 7 {
		b = append(b, byte(rest)|128)
	}
	return append(append(b, byte(rest)), s...)
}

// frame returns a frame of HTTP/2 (RFC 9113 section 4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	return append(binary.BigEndian.AppendUint32(append(b, flags), stream), payload...)
}

func readFrame(t *testing.T, from io.Reader) (kind byte, stream uint32, payload []byte) {
	t.Helper()
	head := make([]byte, 9)
	if _, err := io.ReadFull(from, head); err != nil {
		t.Fatal(err)
	}
	payload = make([]byte, binary.BigEndian.Uint32(head)>>8)
	if _, err := io.ReadFull(from, payload); err != nil {
		t.Fatal(err)
	}
	return head[3], binary.BigEndian.Uint32(head[5:]), payload
}

func TestTLSIsNotOld(t *testing.T) {
	r, certificate := overTLS(t)
	dial := func(most uint16) (*tls.Conn, error) {
		config := r.client.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, most
		return tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), config)
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
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.0 400 ") {
		t.Errorf("%q, %v", answer, err)
	}
}
