package wsauth_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"wsauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A target is a guarded server on loopback. It is attacked with raw bytes: an
// HTTP client would not send most of what an attacker does.
type target struct {
	addr  string
	guard *wsauth.Guard
	log   *lockedBuffer // the guard's and the server's

	// clients, unless it is 0, counts the requests, each of which the guard sees
	// come from another address.
	clients atomic.Int64

	mu   sync.Mutex
	seen []string // what the handler's requests held
}

// newTarget guards /access, /optional, /refresh, /fresh and /path/{token}, the
// last with Access. The handler opens a socket when it is asked to and reads
// until it ends; otherwise it answers "ok".
func newTarget(t testing.TB, c wsauth.Config) *target {
	t.Helper()
	x := &target{log: new(lockedBuffer)}
	c.Logger = slog.New(slog.NewTextHandler(x.log, nil))
	guard, err := wsauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	x.guard = guard
	mux := http.NewServeMux()
	for _, q := range requirements {
		mux.Handle("/"+q.String(), guard.Require(q)(http.HandlerFunc(x.handle)))
	}
	mux.Handle("/path/{token}", guard.Require(wsauth.Access)(http.HandlerFunc(x.handle)))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := x.clients.Load(); n > 0 {
			r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", n>>8&0xff, n&0xff)
			x.clients.Add(1)
		}
		mux.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(x.log, "", 0)
	server.Start()
	x.addr = server.Listener.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := guard.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return x
}

var requirements = []wsauth.Requirement{wsauth.Access, wsauth.Optional, wsauth.Refresh, wsauth.Fresh}

func (x *target) handle(w http.ResponseWriter, r *http.Request) {
	// The dump holds method, target, host, headers and trailers; the rest of
	// what a handler can look at follows.
	dump, err := httputil.DumpRequest(r, false)
	if err != nil {
		panic(err)
	}
	x.mu.Lock()
	x.seen = append(x.seen, fmt.Sprintf("%s\n%v\n%v\n%v\n%v", dump, r.URL, r.RequestURI, r.PathValue("token"), r.Cookies()))
	x.mu.Unlock()
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, "ok")
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // The test looks at the client's side.
	for err == nil {
		_, _, err = conn.Read(r.Context())
	}
}

// took returns what the handler has seen since it was last asked.
func (x *target) took() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := x.seen
	x.seen = nil
	return seen
}

// An answer is what came back on one connection.
type answer struct {
	*http.Response
	head string // as received, without the Date line
	body string
	conn net.Conn // open after a 101
	in   *bufio.Reader

	handshake bool // what was asked for
}

// send puts raw on a connection of its own and reads one answer. The
// connection stays open after a 101, until the test ends.
func (x *target) send(t testing.TB, raw string) *answer {
	t.Helper()
	return ask(t, dial(t, x.addr), raw)
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func ask(t testing.TB, conn net.Conn, raw string) *answer {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	written := make(chan struct{})
	go func() { // a server may answer and hang up before it has read all
		defer close(written)
		_, _ = io.WriteString(conn, raw)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-written
	})
	var record bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &record))
	method, _, _ := strings.Cut(raw, " ")
	response, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", raw, err)
	}
	asked, _, _ := strings.Cut(raw, "\r\n\r\n")
	a := &answer{Response: response, conn: conn, in: in, handshake: strings.Contains(strings.ToLower(asked), "\nupgrade: websocket")}
	head, _, _ := strings.Cut(record.String(), "\r\n\r\n")
	lines := slices.DeleteFunc(strings.Split(head, "\r\n"), func(l string) bool { return strings.HasPrefix(l, "Date:") })
	a.head = strings.Join(lines, "\r\n")
	if response.StatusCode == http.StatusSwitchingProtocols {
		return a
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.body = string(body)
	conn.Close()
	return a
}

// closeFrame reads frames until the close frame, which nothing may follow, and
// returns its code and reason. Other frames are an error.
func (a *answer) closeFrame(t testing.TB) (code int, reason string) {
	t.Helper()
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101: %s", a.StatusCode, a.body)
	}
	rest, err := io.ReadAll(a.in) // the server half-closes after it
	if err != nil {
		t.Fatal(err)
	}
	a.conn.Close()
	if len(rest) < 4 || rest[0] != 0x88 || int(rest[1]) != len(rest)-2 {
		t.Fatalf("got % x, want one close frame and no more", rest)
	}
	return int(binary.BigEndian.Uint16(rest[2:])), string(rest[4:])
}

// host is whom the attacks address: no loopback name, so that the cookies have
// their prefix, at the origin that the tests' guards allow.
const host, origin = "app.example", "https://app.example"

// upgrade is a proper handshake, with more header lines.
func upgrade(path string, lines ...string) string {
	return plain("GET", path, append([]string{
		"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, lines...)...)
}

// plain is a request without a body, with more header lines.
func plain(method, path string, lines ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// wantRefusal checks that a is the refusal for reason and says nothing else,
// that the handler was not called, and that no secret went anywhere.
func (x *target) wantRefusal(t *testing.T, a *answer, reason wsauth.Reason, secrets ...string) {
	t.Helper()
	status := reason.Outcome().Status
	if a.StatusCode != status {
		t.Fatalf("status %d, want %d for %s\n%s\n%s", a.StatusCode, status, reason, a.head, a.body)
	}
	want := map[wsauth.Reason]string{
		wsauth.TokenMissing: "Bearer", wsauth.TokenInvalid: `Bearer error="invalid_token"`,
		wsauth.TokenExpired: `Bearer error="invalid_token"`, wsauth.TokenRevoked: `Bearer error="invalid_token"`,
		wsauth.InvalidRequest: `Bearer error="invalid_request"`,
	}[reason]
	if got := a.Header.Get("WWW-Authenticate"); got != want {
		t.Errorf("WWW-Authenticate: %q, want %q", got, want)
	}
	allowed := []string{
		"Allow", "Cache-Control", "Connection", "Content-Length", "Content-Type", "Date", "Retry-After",
		"Sec-Websocket-Version", "Upgrade", "Www-Authenticate", "X-Content-Type-Options",
	}
	for name := range a.Header { // no Set-Cookie, no Access-Control-Allow-Origin, nothing of the request
		if !slices.Contains(allowed, name) {
			t.Errorf("the answer has a header %s: %q", name, a.Header[name])
		}
	}
	var body struct {
		Title, Detail string
		Status        int
		Reason        wsauth.Reason
	}
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || len(a.body) >= 200 {
		t.Errorf("body %q (%d bytes): %v", a.body, len(a.body), err)
	}
	if body.Status != status || body.Reason != reason || body.Title != http.StatusText(status) || body.Detail == "" {
		t.Errorf("body %q, want reason %s", a.body, reason)
	}
	x.wantSilence(t, a, secrets...)
}

// socketNames matches the user and the session in the lines of a socket that
// was let in. Lines of refusals name neither.
var socketNames = regexp.MustCompile(`(msg="socket (?:opened|authenticated|ended)" .*) user=alice(?: session=the-login)?`)

// wantSilence checks that the handler was not called, and that no secret is in
// the answer or in the log, which it empties.
func (x *target) wantSilence(t *testing.T, a *answer, secrets ...string) {
	t.Helper()
	if seen := x.took(); len(seen) > 0 {
		t.Errorf("the handler was called: %.300q", seen)
	}
	logged := socketNames.ReplaceAllString(x.log.take(), "$1")
	for _, s := range secrets {
		if strings.Contains(logged, s) {
			t.Errorf("the log has %.60q:\n%.500s", s, logged)
		}
		if strings.Contains(a.head, s) || strings.Contains(a.body, s) {
			t.Errorf("the answer has %.60q:\n%s\n%s", s, a.head, a.body)
		}
	}
}

// wantSuccess checks that the handler was called once, for a socket or for a
// plain request, and returns what it saw.
func (x *target) wantSuccess(t *testing.T, a *answer) string {
	t.Helper()
	want := http.StatusOK
	if a.handshake {
		want = http.StatusSwitchingProtocols
	}
	if a.StatusCode != want {
		t.Fatalf("status %d, want %d: %s", a.StatusCode, want, a.body)
	}
	a.conn.Close()
	seen := x.took()
	if len(seen) != 1 {
		t.Fatalf("the handler was called %d times", len(seen))
	}
	return seen[0]
}

// lockedBuffer is a log that tests can read while servers write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

// request is raw as a server reads it.
func request(t testing.TB, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reasonOf is the reason of a refusal, "" without one.
func reasonOf(err error) wsauth.Reason {
	if e, ok := errors.AsType[*wsauth.Error](err); ok {
		return e.Reason
	}
	return ""
}
