package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is an API for a guard and a login service that serve no network.
type rig struct {
	t     *testing.T
	guard *wsauth.Guard
	login *login.Service
	store *failingStore
	log   wstest.Log
	api   *API
}

// newRig returns a rig that is shut down when the test ends.
func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	keys := must(token.NewKeySet(must(token.GenerateKey(token.HS256))))
	r := &rig{t: t, store: &failingStore{Store: memory.New(store.Limits{})}}
	r.guard = must(wsauth.New(wsauth.Config{Verifier: must(token.NewVerifier(token.VerifierConfig{Keys: keys})), Revocations: r.store}))
	t.Cleanup(func() {
		r.store.failing.Store(false)
		if err := r.guard.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.login = must(login.New(login.Config{Guard: r.guard, Store: r.store, Keys: keys, Logger: log}))
	c := Config{
		Guard:    r.guard,
		Sessions: r.login,
		Routes:   func() []adminapi.Route { return nil },
		ServedBy: func(*wsauth.Socket) (route, upstream string) { return "/ws", "" },
		Drain:    10 * time.Second,
		Logger:   log,
	}
	for _, f := range change {
		f(&c)
	}
	r.api = must(New(c))
	return r
}

// start logs in a user on a device, and returns the claims of the access token.
func (r *rig) start(subject, agent string) *token.Claims {
	r.t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/auth/login", nil)
	request.Header.Set("User-Agent", agent)
	tokens, err := r.login.Start(request, subject, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return tokens.Access.Claims
}

// A socket is an open socket whose connection closes when the guard ends it.
type socket struct {
	*wsauth.Socket
	ended atomic.Pointer[wsauth.EndError]
}

// End implements [wsauth.Ender].
func (s *socket) End(cause error, _ []byte, sent func()) {
	s.ended.Store(cause.(*wsauth.EndError))
	sent()
	go s.Closed()
}

// reason returns why the guard has ended s, or "".
func (s *socket) reason() wsauth.Reason {
	if end := s.ended.Load(); end != nil {
		return end.Reason
	}
	return ""
}

// open opens a socket with the claims, or without a token if they are nil.
func (r *rig) open(claims *token.Claims) *socket {
	r.t.Helper()
	s, q := new(socket), wsauth.Access
	if claims == nil {
		q = wsauth.Optional
	}
	var err error
	if s.Socket, err = r.guard.Admit(httptest.NewRequest(http.MethodGet, "/ws", nil), q, claims, s); err != nil {
		r.t.Fatal(err)
	}
	s.Opened()
	r.t.Cleanup(s.Closed)
	return s
}

// claims returns claims that need no session in the store.
func claims(subject, sid, jti string) *token.Claims {
	return &token.Claims{Subject: subject, SessionID: sid, ID: jti, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
}

const jsonType = "Content-Type: application/json"

// call sends a request, with headers as "Name: value", to the handler for Unix
// sockets.
func (r *rig) call(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return call(r.api.private, method, target, body, headers...)
}

func call(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// get returns the JSON of an answer, which must be 200.
func get[T any](r *rig, target string) (v T) {
	r.t.Helper()
	decode(r.t, r.call(http.MethodGet, target, ""), &v)
	return v
}

// revoke sends a revocation, and returns the answer.
func (r *rig) revoke(body string) (v adminapi.Revoked) {
	r.t.Helper()
	decode(r.t, r.call(http.MethodPost, "/v1/revoke", body, jsonType), &v)
	return v
}

func decode(t *testing.T, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s %v", w.Code, w.Body, w.Header())
	}
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatal(err)
	}
}

// A failingStore is a store that can be made to fail, or to lack replicas that
// confirm revocations.
type failingStore struct {
	*memory.Store
	failing     atomic.Bool
	unconfirmed atomic.Bool
}

func (s *failingStore) failure() error {
	if s.failing.Load() {
		return fmt.Errorf("no disk")
	}
	return nil
}

func (s *failingStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	if err := s.failure(); err != nil {
		return err
	}
	if s.unconfirmed.Load() {
		return errors.Join(s.Store.Revoke(ctx, r...), store.ErrUnconfirmed)
	}
	return s.Store.Revoke(ctx, r...)
}

func (s *failingStore) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	return s.Store.ListSessions(ctx, subject)
}

// must returns v. It panics if err is not nil.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
