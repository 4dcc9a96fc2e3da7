package login

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"wsauth"
	"wsauth/internal/logintest"
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
	logintest.Client
	s      *Service
	guard  *wsauth.Guard
	store  store.Store
	keys   Keys
	issuer *token.Issuer
	log    *wstest.Log
}

// build returns a rig that is not served. Its guard is shut down at the end of
// the test.
func build(t *testing.T, change ...func(*setup)) *rig {
	t.Helper()
	r := &rig{Client: logintest.Client{T: t}, log: &wstest.Log{}}
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

// inBubble runs a test in a synctest bubble. Its rig is served over pipes.
func inBubble(t *testing.T, f func(t *testing.T, r *rig), change ...func(*setup)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := build(t, change...)
		l := wstest.NewPipes()
		r.serve(l, "http://localhost", &http.Transport{DialContext: l.DialContext})
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
	r.Client = logintest.New(r.T, url, transport)
	r.Document = document
	r.T.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.guard.Shutdown(ctx); err != nil {
			r.T.Errorf("guard: %v", err)
		}
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			r.T.Errorf("Serve: %v", err)
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
	r.T.Helper()
	if !strings.Contains(r.log.String(), text) {
		r.T.Errorf("the log does not have %s: %s", text, r.log)
	}
}

// document is the OpenAPI document of the gateway, which mounts the service.
var document = openapitest.Read("../internal/gateway/demo/web/openapi.json")

const jsonType = "Content-Type: application/json"

func bearer(raw string) string { return "Authorization: Bearer " + raw }

func csrf(value string) string { return "X-CSRF-Token: " + value }

// anyone authenticates every user with the password "test".
var anyone = AuthenticatorFunc(func(_ context.Context, _, password string) (bool, error) { return password == "test", nil })

// beside returns a client of the same server that has no cookies.
func (r *rig) beside() *rig {
	other, client := *r, *r.HTTP
	client.Jar = nil
	other.HTTP = &client
	return &other
}

// echoes opens the socket with an access token, and uses it.
func (r *rig) echoes(access string) *websocket.Conn {
	r.T.Helper()
	conn := r.Open("", bearer(access))
	r.WantEcho(conn, "hello")
	return conn
}

// must returns v if there is no error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
