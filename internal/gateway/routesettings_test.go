package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

func TestBodyTooBig(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) { c.Routes[1].Limits.MaxBody = 1000 })
	for _, n := range []int{1000, 1001} {
		req := must(http.NewRequest(http.MethodPost, r.URL+"/public/x", io.MultiReader(bytes.NewReader(make([]byte, n))))) // of unknown length
		resp, err := r.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if want := map[int]int{1000: 200, 1001: 413}[n]; resp.StatusCode != want {
			t.Errorf("%d bytes: %d", n, resp.StatusCode)
		}
	}
	if n := b.count(); n != 1 {
		t.Errorf("the backend has read %d whole requests", n)
	}
}

// TestBodyOfExcessiveLength checks that a body whose Content-Length exceeds the
// limit is refused before any of it arrives, and does not reach the upstream.
func TestBodyOfExcessiveLength(t *testing.T) {
	var count atomic.Int64
	b := newBackendOf(t, func(_ http.ResponseWriter, r *http.Request) {
		count.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	r := serveBehind(t, b, func(c *Config) { c.Routes[1].Limits.MaxBody = 1000 })
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		conn := r.Connect()
		if _, err := io.WriteString(conn, "POST /public/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"+expect+"\r\n"); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
			t.Errorf("%q: %d, close %v", expect, resp.StatusCode, resp.Close)
		}
		if took := time.Since(started); took > proxy.LingerSilence {
			t.Errorf("%q: the answer took %v", expect, took)
		}
	}
	if n := count.Load(); n != 0 {
		t.Errorf("the upstream got %d requests", n)
	}
	r.wantFailures(false)
}

func TestUpstreamFailures(t *testing.T) {
	slow := make(chan struct{})
	b := newBackendOf(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-slow:
		case <-r.Context().Done():
		}
	})
	defer close(slow)
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{
			{Path: "/down", Upstreams: []string{"http://127.0.0.1:1"}, Public: true, Sockets: true},
			{Path: "/slow", Upstreams: []string{b.URL}, Public: true, Sockets: true, Response: 50 * time.Millisecond},
		}
	})
	for path, want := range map[string]int{"/down": 502, "/slow": 504} {
		e := r.get(path)
		e.WantProblem(t, want, map[int]string{502: "bad_gateway", 504: "gateway_timeout"}[want], "")
		if strings.Contains(e.Text, "127.0.0.1") {
			t.Errorf("%s: the answer has the address of the upstream: %s", path, e.Text)
		}
		if _, resp, err := r.DialPath(path, nil); err == nil || resp == nil || resp.StatusCode != want {
			t.Errorf("%s, socket: %v", path, err)
		}
	}
}

// TestUpstreamDeclines checks that the answer of an upstream that declines a
// handshake reaches the client.
func TestUpstreamDeclines(t *testing.T) {
	b := newBackendOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Why", "full")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "no room")
	})
	r := serveBehind(t, b)
	access, _ := r.Login()
	_, resp, err := r.DialPath("/chat", nil, bearer(access))
	if err == nil || resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Why") != "full" {
		t.Fatalf("got %v %v", resp, err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "no room" {
		t.Errorf("got %q, want %q", body, "no room")
	}
}

// TestLimitsOfSockets checks that the gateway limits the sockets of a backend
// that has no limits.
func TestLimitsOfSockets(t *testing.T) {
	r := serveBehind(t, newBackend(t), func(c *Config) {
		c.Routes[0].Limits = proxy.RouteLimits{MaxMessage: 1000, PerMinute: 3}
	})
	access, _ := r.Login()
	conn := r.socket("/chat", bearer(access))
	r.WantEcho(conn, strings.Repeat("x", 1000))
	r.Write(conn, strings.Repeat("y", 1001))
	r.WantClose(conn, websocket.StatusMessageTooBig, "message_too_big: limits.max_message")
	for range 2 {
		r.socket("/chat", bearer(access))
	}
	if _, resp, err := r.DialPath("/chat", nil, bearer(access)); err == nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the fourth handshake of a minute: %v", err)
	}
}

// TestIdleSocketsEnd checks that the Idle of a route ends silent sockets with a
// code that invites clients to reconnect, and that messages delay the end.
func TestIdleSocketsEnd(t *testing.T) {
	t.Parallel() // it waits for two seconds
	const idle = time.Second
	r := serveBehind(t, newBackend(t), func(c *Config) { c.Routes[0].Limits = proxy.RouteLimits{Idle: idle, Ping: -1} })
	access, _ := r.Login()
	silent, busy := r.socket("/chat", bearer(access)), r.socket("/chat", bearer(access))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.WantClose(silent, 3008, "idle_timeout")
	}()
	var last time.Time
	tick := time.NewTicker(idle / 20)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
		case <-ended:
			waiting = false // busy has then been open for longer than idle, too
		}
		last = time.Now()
		r.WantEcho(busy, "still here")
	}
	r.WantClose(busy, 3008, "idle_timeout")
	if d := time.Since(last); d < idle {
		t.Errorf("ended %v after a message, want %v", d, idle)
	}
}

// TestKeepCredential checks that the upstream of a route with KeepCredential
// gets the token as the client sent it, in requests and handshakes, and that
// other routes still remove it. Public routes forward the credentials of an
// upstream's own users in the same way.
func TestKeepCredential(t *testing.T) {
	b := newBackend(t)
	extractors := []wsauth.Extractor{wsauth.Header{}, wsauth.Query{Name: "token"}, wsauth.Cookies{InsecureNoCSRF: true}}
	r := serveBehind(t, b, func(c *Config) {
		for _, public := range []bool{false, true} {
			for path, keep := range map[string]bool{"/keeps": true, "/removes": false} {
				if public {
					path += "/public"
				}
				c.Routes = append(c.Routes, proxy.Route{Path: path, Upstreams: []string{b.URL}, KeepCredential: keep, Extractors: extractors, Public: public, Sockets: public})
			}
		}
	})
	access, _ := r.Login()
	for name, sent := range map[string]struct{ query, line string }{
		"header": {"", bearer(access)},
		"query":  {"?a=1&token=" + access, ""},
		"cookie": {"", "Cookie: theirs=1; access_token_cookie=" + access},
	} {
		for path, keeps := range map[string]bool{"/keeps": true, "/removes": false, "/keeps/public": true, "/removes/public": false} {
			for what, upgrade := range map[string][]string{"a request": nil, "a socket": upgradeLines} {
				before := b.count()
				lines := append([]string{"Host: localhost", "Origin: http://localhost"}, upgrade...)
				if sent.line != "" {
					lines = append(lines, sent.line)
				}
				answer := r.get(path+sent.query, lines...)
				if b.count() != before+1 {
					t.Errorf("%s: %s by %s: %d %s, want an answer of the upstream", path, what, name, answer.StatusCode, answer.Text)
					continue
				}
				got := b.last()
				if has := strings.Contains(fmt.Sprint(got.RequestURI, got.Header), access); has != keeps {
					t.Errorf("%s: %s by %s: the upstream has the token: %v", path, what, name, has)
				}
				if keeps && got.RequestURI != path+sent.query {
					t.Errorf("%s: %s by %s: the upstream got %s", path, what, name, got.RequestURI)
				}
			}
		}
	}
}

// TestWithoutLogin checks that a gateway for tokens issued elsewhere has no
// login endpoints.
func TestWithoutLogin(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) { c.Login.Users, c.Login.Prefix = nil, "/gw/auth" })
	for path, want := range map[string]int{
		"/gw/auth/login": 404, "/gw/auth/refresh": 404, "/gw/auth/session": 401, "/gw/auth/client/wsauth.js": 200, "/.well-known/jwks.json": 200, "/auth/session": 401,
	} {
		if e := r.get(path); e.StatusCode != want {
			t.Errorf("%s: got %d, want %v", path, e.StatusCode, want)
		}
	}
	none := serveBehind(t, b, func(c *Config) { c.Login.Users, c.NoAuth = nil, true; c.Routes[0].Public = true })
	if e := none.get("/auth/session"); e.Text != "GET /auth/session user=" {
		t.Errorf("got %d %s, want %q", e.StatusCode, e.Text, "GET /auth/session user=")
	}
}
