package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wsauth/internal/wsframe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 section 1.3

// healthy returns how many servers of p are healthy.
func healthy(p *Pool) (n int) {
	for _, s := range p.States() {
		if s.Healthy {
			n++
		}
	}
	return n
}

// newPool returns a pool with short timeouts.
func newPool(t *testing.T, addresses ...string) *Pool {
	t.Helper()
	return newPoolOf(t, Config{Addresses: addresses})
}

func newPoolOf(t *testing.T, c Config) *Pool {
	t.Helper()
	c.Connect, c.Response, c.Logger = time.Second, 300*time.Millisecond, slog.New(slog.DiscardHandler)
	if c.Health.Every == 0 {
		c.Health.Every, c.Health.Timeout = time.Hour, time.Second
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// serveConns listens on an address, and serves its connections with serve, one
// after the other.
func serveConns(t *testing.T, network, address string, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l
}

// answering returns a function that reads a request's header, writes text and
// closes the connection.
func answering(text string) func(net.Conn) {
	return func(conn net.Conn) {
		defer conn.Close()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, text) // fails if the client has already closed
	}
}

func handshake(t *testing.T, lines ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/ws?x=1", nil)
	r.Host = "app.example"
	for _, line := range append(lines, "Sec-WebSocket-Key: "+key, "Sec-WebSocket-Version: 13", "Upgrade: websocket", "Connection: Upgrade") {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func switching(lines ...string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Accept: " +
		wsframe.AcceptKey(key) + "\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

func TestOpen(t *testing.T) {
	requests := make(chan string, 1)
	l := serveConns(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		requests <- fmt.Sprint(r.RequestURI, " ", r.Host, " ", r.Header["Sec-Websocket-Extensions"], r.Header["X-User"], r.Header["Te"], r.Header["Connection"])
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"+switching("Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: permessage-deflate", "X-More: yes")+"\x81\x02hi")
	})
	r := handshake(t, "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: x-other, permessage-deflate; client_max_window_bits", "X-User: ada", "Te: trailers")
	s, err := newPool(t, "http://"+l.Addr().String()).Open(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, want := <-requests, "/ws?x=1 app.example [permessage-deflate; client_max_window_bits] [ada] [] [Upgrade]"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if !s.Deflate || string(s.Early) != "\x81\x02hi" || s.Response.Header.Get("X-More") != "yes" {
		t.Errorf("got %v %q %v", s.Deflate, s.Early, s.Response.Header)
	}
}

func TestOpenOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serveConns(t, "unix", path, answering(switching()))
	s, err := newPool(t, "unix:"+path).Open(t.Context(), handshake(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// TestR15_BadAnswers checks that an invalid response opens no socket, and the
// size of a response is limited.
func TestR15_BadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"another key":           {strings.Replace(switching(), wsframe.AcceptKey(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo1", 1), ErrAnswer},
		"no key":                {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ErrAnswer},
		"HTTP/1.0":              {strings.Replace(switching(), "HTTP/1.1", "HTTP/1.0", 1), ErrAnswer},
		"no upgrade":            {strings.Replace(switching(), "Upgrade: WebSocket", "X: y", 1), ErrAnswer},
		"another upgrade":       {strings.Replace(switching(), "Upgrade: WebSocket", "Upgrade: h2c", 1), ErrAnswer},
		"no connection":         {strings.Replace(switching(), "keep-alive, upgrade", "close", 1), ErrAnswer},
		"subprotocol unasked":   {switching("Sec-WebSocket-Protocol: c"), ErrAnswer},
		"two subprotocols":      {switching("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"), ErrAnswer},
		"extension unasked":     {switching("Sec-WebSocket-Extensions: x-other"), ErrAnswer},
		"extension twice":       {switching("Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"), ErrAnswer},
		"huge head":             {"HTTP/1.1 101 x\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 1000), ErrAnswer},
		"endless informational": {strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 100), ErrAnswer},
		"no HTTP":               {"hello\r\n\r\n", ErrAnswer},
		"nothing":               {"", ErrAnswer},
	} {
		l := serveConns(t, "tcp", "127.0.0.1:0", answering(c.answer))
		r := handshake(t, "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate")
		if s, err := newPool(t, "http://"+l.Addr().String()).Open(t.Context(), r); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, s, err, c.want)
		}
	}
}

// TestR15_Hang checks that the pool waits for a silent server until its
// timeout, or until the client leaves.
func TestR15_Hang(t *testing.T) {
	held := make(chan net.Conn, 4)
	l := serveConns(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { held <- conn })
	t.Cleanup(func() {
		for len(held) > 0 {
			_ = (<-held).Close()
		}
	})
	p := newPool(t, "http://"+l.Addr().String())
	if _, err := p.Open(t.Context(), handshake(t)); !errors.Is(err, ErrTimeout) {
		t.Errorf("a socket: %v", err)
	}
	if _, err := p.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); !errors.Is(err, ErrTimeout) {
		t.Errorf("a request: %v", err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := p.Open(ctx, handshake(t)); !errors.Is(err, gone) {
		t.Errorf("after the client left: %v", err)
	}
	if healthy(p) != 1 {
		t.Error("a client that leaves makes the upstream look ill")
	}
}

// TestUnrequestedUpgrade checks that a plain request is never upgraded.
func TestUnrequestedUpgrade(t *testing.T) {
	l := serveConns(t, "tcp", "127.0.0.1:0", answering(switching()))
	if _, err := newPool(t, "http://"+l.Addr().String()).RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); !errors.Is(err, ErrAnswer) {
		t.Errorf("got %v, want %v", err, ErrAnswer)
	}
}

// countingServer starts a server that counts its requests and the bytes of
// their bodies.
func countingServer(t *testing.T) (address string, requests, bytes *atomic.Int64) {
	t.Helper()
	requests, bytes = new(atomic.Int64), new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		requests.Add(1)
		bytes.Add(n)
	}))
	t.Cleanup(s.Close)
	return s.URL, requests, bytes
}

// TestFailOver checks that a server that cannot be reached is skipped, and no
// request or body is lost.
func TestFailOver(t *testing.T) {
	a, na, bytesA := countingServer(t)
	b, nb, bytesB := countingServer(t)
	p := newPool(t, a, "http://127.0.0.1:1", b)
	const each = 30
	for range each {
		resp, err := p.RoundTrip(httptest.NewRequest(http.MethodPost, "http://x/", strings.NewReader("hello")))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if na.Load()+nb.Load() != each || bytesA.Load()+bytesB.Load() != 5*each || na.Load() < each/4 || nb.Load() < each/4 {
		t.Errorf("%d and %d requests with %d and %d bytes", na.Load(), nb.Load(), bytesA.Load(), bytesB.Load())
	}
	if healthy(p) != 2 || len(p.targets) != 3 {
		t.Errorf("%d of %d are healthy", healthy(p), len(p.targets))
	}
	none := newPool(t, "http://127.0.0.1:1", "unix:/nowhere/s")
	for range 2 { // the second time, both are avoided
		if _, err := none.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil)); !errors.Is(err, ErrUnreachable) {
			t.Errorf("none: %v", err)
		}
	}
}

// TestR15_EachServerIsDialedOnce checks that each server is dialed once for a
// request, even if all fail: otherwise a client would wait twice as long as
// allowed.
func TestR15_EachServerIsDialedOnce(t *testing.T) {
	dials := 0
	p := newPoolOf(t, Config{Addresses: []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, Dial: func(context.Context) (net.Conn, error) {
		dials++
		return nil, errors.New("down")
	}})
	for want := 2; want <= 4; want += 2 { // the second time, both are avoided
		if _, err := p.Open(t.Context(), handshake(t)); !errors.Is(err, ErrUnreachable) || dials != want {
			t.Errorf("%d dials, want %d: %v", dials, want, err)
		}
	}
}

// TestR15_AskNow checks that AskNow skips servers that cannot be reached, as
// Ask does, and continues with the next.
func TestR15_AskNow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel completes connections that are never accepted
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newPool(t, "http://127.0.0.1:1", "http://"+l.Addr().String())
	for range 3 {
		a, err := p.AskNow(t.Context(), handshake(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Conn.Close()
		if n := healthy(p); n != 1 {
			t.Errorf("%d are healthy, want 1", n)
		}
	}
	if _, err := newPool(t, "http://127.0.0.1:1").AskNow(t.Context(), handshake(t)); !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrWait) {
		t.Errorf("none: %v", err)
	}
}

// TestHealth checks that a server whose health check fails gets no requests
// until a check succeeds.
func TestHealth(t *testing.T) {
	var isUnhealthy atomic.Bool
	requests := make(chan struct{}, 100)
	unhealthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			t.Errorf("%s was sent to an unhealthy server", r.URL)
		}
		if isUnhealthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		select {
		case requests <- struct{}{}:
		default:
		}
	}))
	defer unhealthy.Close()
	isUnhealthy.Store(true)
	well, n, _ := countingServer(t)
	p := newPoolOf(t, Config{Addresses: []string{unhealthy.URL, well}, Health: Health{Path: "/healthz", Every: 100 * time.Millisecond, Timeout: time.Second}})
	<-requests
	<-requests // the second request shows that the first response was handled
	for range 10 {
		resp, err := p.RoundTrip(httptest.NewRequest(http.MethodGet, "http://x/", nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if n.Load() < 10 {
		t.Errorf("%d requests", n.Load())
	}
	isUnhealthy.Store(false)
	<-requests
	<-requests
	<-requests
	if n := healthy(p); n != 2 {
		t.Errorf("%d are healthy, want 2", n)
	}
}
