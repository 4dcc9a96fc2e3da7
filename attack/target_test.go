// Package attack attacks the library and the gateway from outside, through
// their exported API and over connections. README.md lists every attack with
// its code.
package attack

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
	"wsauth/internal/wstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A target is a guarded server on loopback. Tests send raw bytes to it, because
// an HTTP client would refuse to send most of the attacks.
type target struct {
	addr  string
	guard *wsauth.Guard
	log   *wstest.Log // of the guard and the server

	// clients is 0, or counts the requests. In the second case, the guard sees
	// each request from another address.
	clients atomic.Int64

	mu   sync.Mutex
	seen []string // the requests that the handler got, as text
}

// newTarget serves a guard on loopback; see guarded and handle.
func newTarget(t testing.TB, c wsauth.Config) *target {
	t.Helper()
	x := &target{log: new(wstest.Log)}
	c.Logger = slog.New(slog.NewTextHandler(x.log, nil))
	guard, err := wsauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	x.guard = guard
	handler := guarded(guard, x.handle)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := x.clients.Load(); n > 0 {
			r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", n>>8&0xff, n&0xff)
			x.clients.Add(1)
		}
		handler.ServeHTTP(w, r)
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

// guarded returns a handler with one path for each requirement, /access,
// /optional, /refresh and /fresh, and with /path/{token} for PathValue.
func guarded(guard *wsauth.Guard, handle http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	for _, q := range requirements {
		mux.Handle("/"+q.String(), guard.Require(q)(handle))
	}
	mux.Handle("/path/{token}", guard.Require(wsauth.Access)(handle))
	return mux
}

// handle records the request and serves it.
func (x *target) handle(w http.ResponseWriter, r *http.Request) {
	x.record(r)
	respond(w, r)
}

// record keeps a request for takeRequests.
func (x *target) record(r *http.Request) {
	// The dump contains the method, the target, the host, the headers and the
	// trailers. The other parts that a handler can see are appended.
	dump, err := httputil.DumpRequest(r, false)
	if err != nil {
		panic(err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.seen = append(x.seen, fmt.Sprintf("%s\n%v\n%v\n%v\n%v", dump, r.URL, r.RequestURI, r.PathValue("token"), r.Cookies()))
}

// respond answers "ok" to a plain request. If the request asks for a socket,
// respond opens one and echoes messages until it ends.
func respond(w http.ResponseWriter, r *http.Request) {
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
		var kind websocket.MessageType
		var message []byte
		if kind, message, err = conn.Read(r.Context()); err == nil {
			err = conn.Write(r.Context(), kind, message)
		}
	}
}

// takeRequests returns the requests that the handler got since the last call.
func (x *target) takeRequests() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	seen := x.seen
	x.seen = nil
	return seen
}

// An answer is the response on one connection.
type answer struct {
	*http.Response
	head string // as received, without the Date line
	body string
	conn net.Conn // open after a 101
	in   *bufio.Reader

	handshake bool // whether the request asked for a socket
}

// send sends raw bytes on a new connection and reads one answer. After a 101
// the connection stays open until the test ends.
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

// ask sends raw bytes on a connection and reads one answer.
func ask(t testing.TB, conn net.Conn, raw string) *answer {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	written := make(chan struct{})
	go func() { // the server may answer and close before it has read everything
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
	requestHead, _, _ := strings.Cut(raw, "\r\n\r\n")
	a := &answer{Response: response, conn: conn, in: in, handshake: strings.Contains(strings.ToLower(requestHead), "\nupgrade: websocket")}
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

// closeFrame reads to the end of the connection, and returns the code and the
// reason of the close frame. The connection must contain nothing else.
func (a *answer) closeFrame(t testing.TB) (code int, reason string) {
	t.Helper()
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d, want 101: %s", a.StatusCode, a.body)
	}
	rest, err := io.ReadAll(a.in) // the server half-closes after the close frame
	if err != nil {
		t.Fatal(err)
	}
	a.conn.Close()
	if len(rest) < 4 || rest[0] != 0x88 || int(rest[1]) != len(rest)-2 {
		t.Fatalf("got % x, want one close frame and no more", rest)
	}
	return int(binary.BigEndian.Uint16(rest[2:])), string(rest[4:])
}

// host is the host of all requests, and origin the origin that guards allow.
// The host is not a loopback name, so that cookies have their prefix.
const host, origin = "app.example", "https://app.example"

// upgrade returns a correct handshake with additional header lines.
func upgrade(path string, lines ...string) string {
	return plain("GET", path, append(wstest.UpgradeLines(), lines...)...)
}

// plain returns a request without a body, with additional header lines.
func plain(method, path string, lines ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// wantRefusal checks that a is exactly the refusal for reason and that the
// handler was not called. Neither the answer nor the log may contain one of the
// secrets.
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
	for name := range a.Header { // so no Set-Cookie, no Access-Control-Allow-Origin, and nothing of the request
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

// socketNames matches the user and the session in the log lines of admitted
// sockets. The log lines of refusals contain neither.
var socketNames = regexp.MustCompile(`(msg="socket (?:opened|authenticated|ended)" .*) user=(?:alice|"[^"]+")(?: session=the-login)?`)

// wantSilence checks that the handler was not called, and that neither the
// answer nor the log contains one of the secrets. It empties the log.
func (x *target) wantSilence(t *testing.T, a *answer, secrets ...string) {
	t.Helper()
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("the handler was called: %.300q", seen)
	}
	logged := socketNames.ReplaceAllString(x.log.Take(), "$1")
	for _, s := range secrets {
		if strings.Contains(logged, s) {
			t.Errorf("the log has %.60q:\n%.500s", s, logged)
		}
		if strings.Contains(a.head, s) || strings.Contains(a.body, s) {
			t.Errorf("the answer has %.60q:\n%s\n%s", s, a.head, a.body)
		}
	}
}

// wantSuccess checks that the handler was called once. It returns the handler's
// request as text.
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
	seen := x.takeRequests()
	if len(seen) != 1 {
		t.Fatalf("the handler was called %d times, want once", len(seen))
	}
	return seen[0]
}

// A refusalCase is a request with the reason for which it must be refused.
type refusalCase struct {
	name string
	raw  string
	want wsauth.Reason // "" if the request must be admitted
}

// wantRefusals sends each request and checks the answer.
func (x *target) wantRefusals(t *testing.T, refusals []refusalCase) {
	t.Helper()
	for _, s := range refusals {
		t.Run(s.name, func(t *testing.T) {
			a := x.send(t, s.raw)
			if s.want == "" {
				x.wantSuccess(t, a)
				return
			}
			x.wantRefusal(t, a, s.want)
		})
	}
}

// bearer, cookie and csrf return header lines.
func bearer(tok string) string { return "Authorization: Bearer " + tok }

func cookie(tok string) string { return "Cookie: __Host-access_token_cookie=" + tok }

func csrf(value string) string { return "X-CSRF-Token: " + value }

// fromOurs is the header line that a page of the allowed origin sends.
const fromOurs = "Origin: " + origin

// request parses a raw request as a server does.
func request(t testing.TB, raw string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reasonOf returns the reason of a refusal, or "" for another error.
func reasonOf(err error) wsauth.Reason {
	if e, ok := errors.AsType[*wsauth.Error](err); ok {
		return e.Reason
	}
	return ""
}
