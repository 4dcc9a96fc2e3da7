package gateway

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
)

// TestStoreThatFails checks that while the store fails, requests that need it
// get 503 without the text of its error, and that no session is lost.
func TestStoreThatFails(t *testing.T) {
	broken := &failingStore{Store: memory.New(store.Limits{})}
	r := start(t, func(c *Config) { c.Store = broken })
	access, refresh := r.Login()
	broken.fail(errors.New("no disk"))
	for _, request := range []struct{ method, path, body, token string }{
		{"POST", "/auth/login", `{"username":"test","password":"test"}`, ""},
		{"POST", "/auth/refresh", "", refresh},
		{"POST", "/auth/fresh", `{"password":"test"}`, access},
		{"POST", "/auth/ticket", `{"path":"/ws"}`, access},
		{"GET", "/auth/sessions", "", access},
		{"DELETE", "/auth/sessions/x", "", access},
	} {
		headers := []string{jsonType}
		if request.token != "" {
			headers = append(headers, bearer(request.token))
		}
		e := r.Call(request.method, request.path, request.body, headers...)
		e.WantProblem(t, 503, "store_unavailable", "")
		if strings.Contains(e.Text, "disk") || e.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: got %s %v", request.method, request.path, e.Text, e.Header)
		}
	}
	broken.fail(nil)
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	r.openEcho(access)
}

// A failingStore is a store that can be made to fail. It is safe for concurrent
// use.
type failingStore struct {
	*memory.Store
	err atomic.Pointer[error]
}

// fail makes all methods return err; nil restores them.
func (s *failingStore) fail(err error) { s.err.Store(&err) }

func (s *failingStore) failure() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *failingStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.Revoke(ctx, r...)
}

func (s *failingStore) PutTicket(ctx context.Context, k store.TicketKey, v []byte, e time.Time) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.PutTicket(ctx, k, v, e)
}

func (s *failingStore) BeginSession(ctx context.Context, session store.Session) error {
	if err := s.failure(); err != nil {
		return err
	}
	return s.Store.BeginSession(ctx, session)
}

func (s *failingStore) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	if err := s.failure(); err != nil {
		return store.Session{}, err
	}
	return s.Store.RotateSession(ctx, r)
}

func (s *failingStore) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	if err := s.failure(); err != nil {
		return store.Session{}, err
	}
	return s.Store.PresentSession(ctx, p)
}

func (s *failingStore) FindSession(ctx context.Context, subject, id string) (store.Session, error) {
	if err := s.failure(); err != nil {
		return store.Session{}, err
	}
	return s.Store.FindSession(ctx, subject, id)
}

func (s *failingStore) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	return s.Store.ListSessions(ctx, subject)
}
