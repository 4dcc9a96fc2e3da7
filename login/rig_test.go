package login

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"wsauth"
	"wsauth/internal/openapitest"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestMain fails if a test leaves a goroutine running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A setup is the configuration of a rig.
type setup struct {
	Config
	Store store.Store // of sessions, revocations and tickets
}

// A rig is a server with a login service at /auth/ and a guarded echo socket
// at /ws, and a client.
type rig struct {
	t      *testing.T
	s      *Service
	guard  *wsauth.Guard
	store  store.Store
	keys   Keys
	issuer *token.Issuer
	log    *wstest.Log
	url    string
	client *http.Client
}

// build returns a rig that is not served. The test shuts its guard down.
func build(t *testing.T, change ...func(*setup)) *rig {
	t.Helper()
	r := &rig{t: t, log: &wstest.Log{}}
	c := setup{Store: memory.New(store.Limits{}), Config: Config{
		Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256)))),
		Users: AuthenticatorFunc(func(_ context.Context, name, password string) (bool, error) {
			return name == "test" && password == "test", nil
		}),
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}}
	for _, f := range change {
		f(&c)
	}
	rules := token.VerifierConfig{Keys: c.Keys, IssuedLeeway: store.ClockStep}
	verifier := must(token.NewVerifier(rules))
	rules.IssuedAnyTime = true
	c.EndVerifier = must(token.NewVerifier(rules))
	r.guard = must(wsauth.New(wsauth.Config{
		Verifier: verifier, Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Cookies{}},
		Revocations: c.Store, Tickets: c.Store, Refusal: wsauth.RefuseClose, Logger: c.Logger,
	}))
	c.Config.Guard, c.Config.Store = r.guard, c.Store
	r.store, r.keys, r.issuer = c.Store, c.Keys, must(token.NewIssuer(token.IssuerConfig{Key: c.Keys}))
	s, err := New(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	r.s = s
	return r
}

// start serves a rig on loopback until the test ends.
func start(t *testing.T, change ...func(*setup)) *rig {
	t.Helper()
	r := build(t, change...)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.serve(l, "http://"+l.Addr().String(), &http.Transport{})
	return r
}

// inBubble runs a test in a synctest bubble. Its rig serves pipes.
func inBubble(t *testing.T, f func(t *testing.T, r *rig), change ...func(*setup)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := build(t, change...)
		l := wstest.NewPipes()
		dial := func(context.Context, string, string) (net.Conn, error) { return l.Dial(""), nil }
		r.serve(l, "http://localhost", &http.Transport{DialContext: dial})
		f(t, r)
	})
}

// serve serves the rig until the test ends.
func (r *rig) serve(l net.Listener, url string, transport *http.Transport) {
	mux := http.NewServeMux()
	mux.Handle("/auth/", r.s)
	mux.Handle("/ws", r.guard.Require(wsauth.Access)(http.HandlerFunc(echo)))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	r.url = url
	r.client = &http.Client{Jar: must(cookiejar.New(nil)), Timeout: 10 * time.Second, Transport: transport}
	r.t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.guard.Shutdown(ctx); err != nil {
			r.t.Errorf("guard: %v", err)
		}
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			r.t.Errorf("Serve: %v", err)
		}
	})
}

// echo sends the messages of a socket back.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the guard checks the Origin
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// wantLog fails if the log does not have text.
func (r *rig) wantLog(text string) {
	r.t.Helper()
	if !strings.Contains(r.log.String(), text) {
		r.t.Errorf("the log does not have %s: %s", text, r.log)
	}
}

// An exchange is an answer and its body.
type exchange struct {
	*http.Response
	body string
}

// decode returns the body as JSON.
func (e exchange) decode(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(e.body), &v); err != nil {
		t.Fatalf("body %q: %v", e.body, err)
	}
	return v
}

// document is the OpenAPI document of the gateway, which mounts the service.
var document = sync.OnceValues(func() (openapitest.Document, error) {
	text, err := os.ReadFile("../internal/gateway/demo/web/openapi.json")
	if err != nil {
		return openapitest.Document{}, err
	}
	return openapitest.Parse(text)
})

const jsonType = "Content-Type: application/json"

func bearer(raw string) string { return "Authorization: Bearer " + raw }

func csrf(value string) string { return "X-CSRF-Token: " + value }

// call sends a request, with headers as "Name: value", and compares the answer
// with the OpenAPI document.
func (r *rig) call(method, path, body string, headers ...string) exchange {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
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
	doc, err := document()
	if err != nil {
		r.t.Fatal(err)
	}
	doc.Check(r.t, req, resp, string(text), "/auth/sessions/{sid}")
	return exchange{resp, string(text)}
}

// connect opens a TCP connection to the server until the test ends.
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

// login logs in the user test without cookies and returns the tokens.
func (r *rig) login() (access, refresh string) { return r.loginAs("test") }

// loginAs logs in a user whose password is "test".
func (r *rig) loginAs(name string, headers ...string) (access, refresh string) {
	r.t.Helper()
	return r.renewed(r.call("POST", "/auth/login", `{"username":"`+name+`","password":"test"}`, append(headers, jsonType)...))
}

// loginCookies logs in the user test with cookies and returns the CSRF values.
func (r *rig) loginCookies() (access, refresh string) {
	r.t.Helper()
	e := r.call("POST", "/auth/login", `{"username":"test","password":"test","cookies":true}`, jsonType)
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("login: %d %s", e.StatusCode, e.body)
	}
	v := e.decode(r.t)
	return v["csrf_token"].(string), v["refresh_csrf_token"].(string)
}

// renewed returns the tokens in an answer.
func (r *rig) renewed(e exchange) (access, refresh string) {
	r.t.Helper()
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	v := e.decode(r.t)
	refresh, _ = v["refresh_token"].(string)
	return v["access_token"].(string), refresh
}

// anyone authenticates every user with the password "test".
var anyone = AuthenticatorFunc(func(_ context.Context, _, password string) (bool, error) { return password == "test", nil })

// ticket gets a ticket for the socket, as a page of the server itself would.
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

// cookies returns the cookies that the browser has for the server, by name.
func (r *rig) cookies() map[string]string {
	r.t.Helper()
	found := map[string]string{}
	for _, c := range r.client.Jar.Cookies(must(url.Parse(r.url))) {
		found[c.Name] = c.Value
	}
	return found
}

// beside returns a client of the same server that has no cookies.
func (r *rig) beside() *rig {
	other, client := *r, *r.client
	client.Jar = nil
	other.client = &client
	return &other
}

// open opens the socket as a page of the server itself would.
func (r *rig) open(query string, headers ...string) *websocket.Conn {
	r.t.Helper()
	h := http.Header{"Origin": {r.url}}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, r.url+"/ws"+query, &websocket.DialOptions{HTTPHeader: h, HTTPClient: r.client})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// echoes opens the socket with an access token, and uses it.
func (r *rig) echoes(access string) *websocket.Conn {
	r.t.Helper()
	conn := r.open("", bearer(access))
	r.wantEcho(conn)
	return conn
}

// read reads one message.
func (r *rig) read(conn *websocket.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, message, err := conn.Read(ctx)
	return string(message), err
}

// wantEcho sends a message, which must come back.
func (r *rig) wantEcho(conn *websocket.Conn) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		r.t.Fatal(err)
	}
	if got, err := r.read(conn); got != "hello" {
		r.t.Fatalf("%q, %v", got, err)
	}
}

// wantClose reads the close frame that must come next.
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

// wantProblem checks a problem document.
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

// wantDead checks the answer to a token of a session that has ended.
func wantDead(t *testing.T, e exchange) {
	t.Helper()
	if reason := e.decode(t)["reason"]; e.StatusCode != http.StatusUnauthorized || reason != "token_revoked" && reason != "session_ended" {
		t.Errorf("a token of a dead session: %d %s", e.StatusCode, e.body)
	}
}

// must returns v if there is no error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
