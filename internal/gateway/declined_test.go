package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// TestDeclinedHandshakesOpenNoSocket checks that a handshake that the upstream
// declines or does not answer has one outcome, is not logged or counted as a
// socket, and stays in no list of sockets, whether an event loop or net/http
// has read it.
func TestDeclinedHandshakesOpenNoSocket(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(decline))
	t.Cleanup(upstream.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	routes := func(c *Config) {
		c.AccessLog = true
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: []string{upstream.URL}},
			{Path: "/close/", Upstreams: []string{upstream.URL}, Refusal: wsauth.RefuseClose},
			{Path: "/gone/", Upstreams: []string{gone.URL}},
			{Path: "/gone/close/", Upstreams: []string{gone.URL}, Refusal: wsauth.RefuseClose},
			{Path: "/public/", Upstreams: []string{upstream.URL}, Public: true, Sockets: true},
		}
	}
	for entry, connect := range map[string]func(*testing.T) (*rig, func() net.Conn){
		"event loop": func(t *testing.T) (*rig, func() net.Conn) {
			r := start(t, routes)
			return r, r.Connect
		},
		"net/http": func(t *testing.T) (*rig, func() net.Conn) {
			r := start(t, routes)
			return r, func() net.Conn {
				conn := r.Connect()
				must(io.WriteString(conn, "GET /auth/none HTTP/1.1\r\nHost: app.example\r\n\r\n"))
				first := must(http.ReadResponse(bufio.NewReaderSize(conn, 16), nil))
				must(io.Copy(io.Discard, first.Body))
				return conn
			}
		},
		"TLS": func(t *testing.T) (*rig, func() net.Conn) {
			r, _ := overTLS(t, routes)
			return r, r.dialRawTLS
		},
	} {
		t.Run(entry, func(t *testing.T) {
			r, dial := connect(t)
			access, _ := r.Login()
			handshakes := 0
			for _, c := range []struct {
				path   string
				status int
			}{
				{"/200", 200},
				{"/302", 302},
				{"/401", 401},
				{"/404", 404},
				{"/426", 426},
				{"/503", 503},
				{"/close/404", 404},
				{"/public/404", 404},
				{"/hints", 404},
				{"/accept", 502},
				{"/silent", 502},
				{"/gone/", 502},
				{"/gone/close/", 101}, // opened only to send the reason in a close frame
			} {
				conn := dial()
				must(fmt.Fprintf(conn, "GET %s HTTP/1.1\r\n%s%s\r\n\r\n", c.path, socketFields, bearer(access)))
				answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || answer.StatusCode != c.status {
					t.Fatalf("%s: %v, %v; want %d", c.path, answer, err, c.status)
				}
				_ = conn.Close()
				handshakes++
			}
			// Metrics and lists change after the client has got its answer.
			for deadline := time.Now().Add(10 * time.Second); r.outcomes() != handshakes || r.countListed() != 0; {
				if time.Now().After(deadline) {
					t.Fatalf("%d outcomes of %d handshakes, %d sockets are listed", r.outcomes(), handshakes, r.countListed())
				}
			}
			for _, message := range []string{`"socket opened"`, `"socket ended"`, "socket"} {
				if lines := r.lines(message); len(lines) > 0 {
					t.Errorf("%d lines of %s, the first %s", len(lines), message, lines[0])
				}
			}
			for name, value := range r.metrics() {
				if strings.Contains(name, `outcome="opened"`) || strings.HasPrefix(name, "socket") && value != "0" {
					t.Errorf("%s is %s", name, value)
				}
			}
		})
	}
}

// outcomes returns how many handshakes the metrics count.
func (r *rig) outcomes() (n int) {
	r.T.Helper()
	for name, value := range r.metrics() {
		if strings.HasPrefix(name, "handshakes_total{") {
			n += must(strconv.Atoi(value))
		}
	}
	return n
}

// countListed returns how many sockets the gateway and its guard list.
func (r *rig) countListed() int {
	n := r.g.routes.Connected()
	for range r.g.guard.Sockets(wsauth.Filter{All: true}) {
		n++
	}
	return n
}

// decline answers a handshake with the status or in the way that its path
// names.
func decline(w http.ResponseWriter, r *http.Request) {
	var status int
	switch mode := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; mode {
	case "hints":
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
	case "accept":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
			_ = conn.Close()
		}
	case "silent":
		panic(http.ErrAbortHandler)
	default:
		_, _ = fmt.Sscan(mode, &status)
		w.Header().Set("Location", "/login")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "no")
	}
}
