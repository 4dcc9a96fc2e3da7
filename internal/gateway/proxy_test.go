package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
)

// A backend is a server that knows nothing of wsauth. It records the requests
// that reach it, and echoes on sockets.
type backend struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

// newBackend starts a backend that opens a WebSocket below /socket, sends
// events below /events, and otherwise answers with the request.
func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.serve(t, b)
	return b
}

// serve starts the server with its final handler. A client of an earlier server
// on the same port may connect at once.
func (b *backend) serve(t *testing.T, handler http.Handler) {
	b.Server = httptest.NewServer(handler)
	t.Cleanup(b.Server.Close)
}

// newBackendOf starts a backend with another handler.
func newBackendOf(t *testing.T, handler http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.serve(t, handler)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	b.requests = append(b.requests, r.Clone(context.Background()))
	b.bodies = append(b.bodies, string(body))
	b.mu.Unlock()
	switch {
	case r.Header.Get("Upgrade") != "":
		b.echo(w, r)
	case r.URL.Path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		w.Header().Set("X-Backend", "yes")
		fmt.Fprintf(w, "%s %s user=%s", r.Method, r.RequestURI, r.Header.Get("X-User"))
	}
}

func (b *backend) echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// last returns the latest request that reached the backend, or nil.
func (b *backend) last() *http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		return nil
	}
	return b.requests[len(b.requests)-1]
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.requests)
}

// serveBehind serves routes to b: /public/ for all clients, and the rest for
// clients with a token.
func serveBehind(t *testing.T, b *backend, change ...func(*Config)) *rig {
	t.Helper()
	return start(t, append([]func(*Config){func(c *Config) {
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: []string{b.URL}},
			{Path: "/public/", Upstreams: []string{b.URL}, Public: true, Sockets: true},
		}
	}}, change...)...)
}

// get sends a request unchanged, with header lines, and reads the whole
// answer.
func (r *rig) get(path string, lines ...string) logintest.Answer {
	r.T.Helper()
	return r.callUnchanged("GET "+path+" HTTP/1.1", append(lines, "Connection: close")...)
}

// callUnchanged sends a request header unchanged on a new connection.
func (r *rig) callUnchanged(first string, lines ...string) logintest.Answer {
	r.T.Helper()
	conn := r.Connect()
	defer conn.Close()
	head := first + "\r\n"
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host: ") }) {
		head += "Host: app.example\r\n"
	}
	if _, err := io.WriteString(conn, head+strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		r.T.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.T.Fatal(err)
	}
	return r.ReadAnswer(resp)
}

// TestProxyForwardsAdmittedRequests checks that requests reach the backend only
// with a token, except on public routes, and without the credential.
func TestProxyForwardsAdmittedRequests(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	access, _ := r.Login()
	if e := r.get("/a/b?x=1&y=%20;"); e.StatusCode != http.StatusUnauthorized || b.count() != 0 {
		t.Fatalf("without a token: %d, and the backend has %d requests; want 401 and none", e.StatusCode, b.count())
	}
	e := r.get("/a/b?x=1&y=%20;", bearer(access))
	if e.StatusCode != http.StatusOK || e.Text != "GET /a/b?x=1&y=%20; user=test" || e.Header.Get("X-Backend") != "yes" {
		t.Errorf("got %d %q, want the answer of the backend", e.StatusCode, e.Text)
	}
	if e.Header.Get("Content-Security-Policy") != "" {
		t.Error("the backend's pages get the gateway's policy")
	}
	got := b.last()
	if got.Host != "app.example" || got.Header.Get("Authorization") != "" {
		t.Errorf("Host %q, Authorization %q", got.Host, got.Header.Get("Authorization"))
	}
	if e := r.get("/public/x", "X-User: mallory", bearer(access)); e.StatusCode != http.StatusOK || e.Text != "GET /public/x user=" {
		t.Errorf("public: %d %q", e.StatusCode, e.Text)
	}
	if got := b.last(); got.Header.Get("Authorization") != "" {
		t.Error("R12: a public route forwards the credential")
	}
}

// socket opens a socket at any path.
func (r *rig) socket(path string, lines ...string) *websocket.Conn {
	r.T.Helper()
	conn, _, err := r.DialPath(path, nil, lines...)
	if err != nil {
		r.T.Fatal(err)
	}
	return conn
}

// TestLogoutClosesProxiedSockets checks that a logout closes the sockets of a
// backend that knows nothing of wsauth.
func TestLogoutClosesProxiedSockets(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	access, refresh := r.Login()
	other, _ := r.Login()
	conn, kept := r.socket("/chat", bearer(access)), r.socket("/chat", bearer(other))
	r.WantEcho(conn, "hello")
	r.WantEcho(conn, strings.Repeat("x", 100_000))
	if got := b.last().Header.Get("X-User"); got != "test" {
		t.Errorf("X-User: %q", got)
	}
	if e := r.Call("POST", "/auth/logout", "", bearer(refresh)); e.StatusCode >= 300 {
		t.Fatalf("logout: %d %s", e.StatusCode, e.Text)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.WantEcho(kept, "still here")
}

// TestRefreshKeepsProxiedSockets checks that a socket whose session is
// refreshed stays open after its first token has expired, and that another one
// closes.
func TestRefreshKeepsProxiedSockets(t *testing.T) {
	t.Parallel() // it waits for the expiry of a token
	// The exp of a token is a whole second: a token of 1 s may be valid for
	// hardly any time.
	r := serveBehind(t, newBackend(t), func(c *Config) { c.Login.AccessTTL = 2 * time.Second })
	first, refresh := r.Login()
	kept := r.socket("/chat", bearer(first))
	access, _ := r.Login()
	conn := r.socket("/chat", bearer(access))
	r.WantEcho(conn, "hello")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.WantClose(conn, 3000, "token_expired")
	}()
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for isOpen := true; isOpen; {
		_, refresh = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
		select {
		case <-tick.C:
		case <-ended:
			isOpen = false
		}
		r.WantEcho(kept, "still here")
	}
}

// TestProxiedHandshake checks that the client and the backend negotiate the
// subprotocol.
func TestProxiedHandshake(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	access, _ := r.Login()
	conn, resp, err := r.DialPath("/chat", []string{"other", "chat"}, bearer(access))
	if err != nil || conn.Subprotocol() != "chat" {
		t.Fatalf("got %v %v, want %q", conn, err, "chat")
	}
	if resp.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Errorf("got %v, want the subprotocol chat", resp.Header)
	}
	if _, resp, err := r.DialPath("/chat", nil); err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %v, want 401", err)
	}
	if n := b.count(); n != 1 {
		t.Errorf("the backend has seen %d requests", n)
	}
	e := r.callUnchanged("GET /chat HTTP/1.1", append(replaceLine(upgradeLines, "Upgrade: ", "Upgrade: h2c, websocket"), bearer(access))...)
	if e.WantProblem(t, http.StatusBadRequest, "invalid_handshake", ""); b.count() != 1 {
		t.Errorf("an upgrade to h2c or websocket reaches the backend")
	}
}

// TestTicketReachesNoUpstream checks that a browser's ticket leaves no trace
// in the upstream's log (R12).
func TestTicketReachesNoUpstream(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	access, _ := r.Login()
	conn := r.socket("/ws?room=1&ticket="+r.Ticket(access), "Origin: "+r.URL)
	r.WantEcho(conn, "hello")
	if got := b.last().RequestURI; got != "/ws?room=1" {
		t.Errorf("the upstream got %q, want /ws?room=1", got)
	}
}

// TestEventsEndWithTheSession checks that a logout also ends an endless
// answer.
func TestEventsEndWithTheSession(t *testing.T) {
	r := serveBehind(t, newBackend(t))
	access, refresh := r.Login()
	req := must(http.NewRequest(http.MethodGet, r.URL+"/events", nil))
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := r.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil || line != "data: hello\n" {
		t.Fatalf("got %q, %v, want %q", line, err, "data: hello\n")
	}
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the event stream ends without an error")
	}
	r.wantNoneLive()
}

// TestRefuseCloseTellsBrowsers checks that pages can read from a close frame
// why no socket opened.
func TestRefuseCloseTellsBrowsers(t *testing.T) {
	t.Parallel() // the gateway delays the second close frame by seconds
	r := serveBehind(t, newBackend(t), func(c *Config) {
		c.Routes[0].Refusal = wsauth.RefuseClose
		c.Routes = append(c.Routes, proxy.Route{Path: "/down", Upstreams: []string{"http://127.0.0.1:1"}, Refusal: wsauth.RefuseClose})
	})
	r.WantClose(r.socket("/chat"), 3000, "token_missing")
	access, _ := r.Login()
	r.WantClose(r.socket("/down", bearer(access)), 1014, "bad_gateway")
}
