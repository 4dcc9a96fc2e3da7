package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A rig is a gateway behind its own server, with a client.
type rig struct {
	t      *testing.T
	g      *Gateway
	store  store.Store
	url    string
	client *http.Client
	log    *wstest.Log
	stop   context.CancelFunc
	served chan error // what Serve returned
}

// start serves a gateway on loopback until the test ends.
func start(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, "http://"+l.Addr().String(), &http.Transport{}, change)
}

func serve(t *testing.T, l net.Listener, url string, transport *http.Transport, change []func(*Config)) *rig {
	t.Helper()
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	log := &wstest.Log{}
	c := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Login: login.Config{Users: demo.Users{}}, Logger: slog.New(slog.NewTextHandler(log, nil))}
	for _, f := range change {
		f(&c)
	}
	if c.Store == nil {
		c.Store = memory.New(store.Limits{})
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, g: g, store: c.Store, url: url, log: log, stop: stop, served: make(chan error, 1),
		client: &http.Client{
			Jar:           jar,
			Timeout:       10 * time.Second,
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	go func() {
		r.served <- g.Serve(ctx, l)
		close(r.served)
	}()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		stop()
		if err, open := <-r.served; open && err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// awaitReady waits until the gateway has read its revocations for the first
// time. Serve does not wait for that, but requests do.
func (r *rig) awaitReady() {
	r.t.Helper()
	for started := time.Now(); ; time.Sleep(time.Millisecond) {
		err := r.g.Ready()
		if err == nil {
			return
		}
		if time.Since(started) > 10*time.Second {
			r.t.Fatal(err)
		}
	}
}

// connect opens a connection to the gateway until the test ends, to send what
// no client library would send.
func (r *rig) connect() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// An exchange is an answer and its body.
type exchange struct {
	*http.Response
	body string
}

// decode reads the body as JSON.
func (e exchange) decode(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(e.body), &v); err != nil {
		t.Fatalf("body %q: %v", e.body, err)
	}
	return v
}

// call sends a request, with headers as "Name: value", and checks the answer
// against the OpenAPI document.
func (r *rig) call(method, path, body string, headers ...string) exchange {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	e := exchange{resp, string(text)}
	checkDocumented(r.t, req, e)
	return e
}

// bearer and csrf return header lines.
func bearer(raw string) string { return "Authorization: Bearer " + raw }

func csrf(value string) string { return "X-CSRF-Token: " + value }

const jsonType = "Content-Type: application/json"

// login logs in the demo user without cookies and returns the tokens.
func (r *rig) login() (access, refresh string) {
	r.t.Helper()
	e := r.call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType)
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("login: %d %s", e.StatusCode, e.body)
	}
	v := e.decode(r.t)
	return v["access_token"].(string), v["refresh_token"].(string)
}

// loginAs logs in another user, whose password is "test".
func (r *rig) loginAs(name string, headers ...string) (access, refresh string) {
	r.t.Helper()
	return r.renewed(r.call("POST", "/auth/login", `{"username":"`+name+`","password":"test"}`, append(headers, jsonType)...))
}

// anyone knows everybody.
var anyone = login.AuthenticatorFunc(func(_ context.Context, _, password string) (bool, error) { return password == "test", nil })

// renewed decodes new tokens.
func (r *rig) renewed(e exchange) (access, refresh string) {
	r.t.Helper()
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	v := e.decode(r.t)
	refresh, _ = v["refresh_token"].(string)
	return v["access_token"].(string), refresh
}

// ticket gets a ticket for the socket, as a page of the gateway does.
func (r *rig) ticket(access string) string {
	r.t.Helper()
	e := r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access), "Origin: "+r.url)
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("ticket: %d %s", e.StatusCode, e.body)
	}
	return e.decode(r.t)["ticket"].(string)
}

// claims returns the claims of an access token.
func (r *rig) claims(access string) map[string]any {
	r.t.Helper()
	e := r.call("GET", "/auth/session", "", bearer(access))
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("session: %d %s", e.StatusCode, e.body)
	}
	return e.decode(r.t)
}

// echoes opens the socket and reads the welcome.
func (r *rig) echoes(access string) *websocket.Conn {
	r.t.Helper()
	conn := r.open("", bearer(access))
	if _, err := r.read(conn); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// loginCookies logs in the demo user with cookies and returns the CSRF values.
func (r *rig) loginCookies() (access, refresh string) {
	r.t.Helper()
	e := r.call("POST", "/auth/login", `{"username":"test","password":"test","cookies":true}`, jsonType)
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("login: %d %s", e.StatusCode, e.body)
	}
	v := e.decode(r.t)
	return v["csrf_token"].(string), v["refresh_csrf_token"].(string)
}

// dial opens the socket like a page of the gateway, and checks the answer
// against the OpenAPI document.
func (r *rig) dial(query string, headers ...string) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	h := http.Header{"Origin": {r.url}}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, r.url+"/ws"+query, &websocket.DialOptions{HTTPHeader: h, HTTPClient: r.client})
	if conn != nil {
		r.t.Cleanup(func() { conn.CloseNow() })
	}
	if resp != nil {
		checkSocketDocumented(r.t, resp)
	}
	return conn, resp, err
}

// open is dial for a handshake that is accepted.
func (r *rig) open(query string, headers ...string) *websocket.Conn {
	r.t.Helper()
	conn, _, err := r.dial(query, headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// read reads one message.
func (r *rig) read(conn *websocket.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, message, err := conn.Read(ctx)
	return string(message), err
}

// write sends one text message.
func (r *rig) write(conn *websocket.Conn, message string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		r.t.Fatal(err)
	}
}

// wantClose checks that the next frame is a close frame.
func (r *rig) wantClose(conn *websocket.Conn, code websocket.StatusCode, reason string) {
	r.t.Helper()
	message, err := r.read(conn)
	if err == nil {
		r.t.Fatalf("got message %q, want close %d %s", message, code, reason)
	}
	end, ok := errors.AsType[websocket.CloseError](err)
	if !ok || end.Code != code || end.Reason != reason {
		r.t.Fatalf("got %v, want close %d %q", err, code, reason)
	}
}

// cookies returns the cookies that the browser holds for the gateway, by name.
func (r *rig) cookies() map[string]string {
	r.t.Helper()
	u, err := url.Parse(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range r.client.Jar.Cookies(u) {
		found[c.Name] = c.Value
	}
	return found
}

// wantProblem checks an error answer.
func wantProblem(t *testing.T, e exchange, status int, reason, detail string) {
	t.Helper()
	if e.StatusCode != status {
		t.Fatalf("status %d, want %d; body %s", e.StatusCode, status, e.body)
	}
	if got := e.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	v := e.decode(t)
	if v["status"] != float64(status) || v["title"] != http.StatusText(status) {
		t.Errorf("status and title in %s do not say %d", e.body, status)
	}
	if got, _ := v["reason"].(string); got != reason {
		t.Errorf("reason %q, want %q", got, reason)
	}
	if got, _ := v["detail"].(string); !strings.Contains(got, detail) || got == "" {
		t.Errorf("detail %q, want %q in it", got, detail)
	}
}

// must returns v. It panics if err is not nil.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// isTimeout reports whether err is a timeout of the network.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// A goroutine that outlives the tests is a leak of the server.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
