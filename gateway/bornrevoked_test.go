package gateway

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

	"wsauth/store"
)

// TestBornRevokedAnswers: what keeps a session from beginning is answered as
// docs/errors.md says, with the time to wait, and logged with its reason.
func TestBornRevokedAnswers(t *testing.T) {
	r := start(t)
	page := tableOf(t, "errors.md", "| reason | HTTP | when |")
	for reason, tt := range map[string]struct {
		err  error
		wait string
	}{
		"clock_behind":      {fmt.Errorf("x: %w", errClockBehind), "5"},
		"session_ended":     {fmt.Errorf("x: %w", errEndedMeanwhile), "1"},
		"store_unavailable": {errors.New("no disk"), "1"},
	} {
		w := httptest.NewRecorder()
		log := &logBuffer{}
		r.g.bornRevoked(w, httptest.NewRequest(http.MethodPost, "/auth/login", nil), slog.New(slog.NewTextHandler(log, nil)), "login failed", tt.err)
		e := exchange{w.Result(), w.Body.String()}
		wantProblem(t, e, http.StatusServiceUnavailable, reason, "")
		if got := e.Header.Get("Retry-After"); got != tt.wait {
			t.Errorf("%s: Retry-After %q, want %q", reason, got, tt.wait)
		}
		if row := page["`"+reason+"`"]; len(row) != 2 || row[0] != "503" || !strings.Contains(row[1], "`Retry-After: "+tt.wait+"`") {
			t.Errorf("%s: the page has %q", reason, row)
		}
		if reason == "store_unavailable" {
			log = r.log
		}
		if line := log.String(); !strings.Contains(line, "reason="+reason) || !strings.Contains(line, "login failed") {
			t.Errorf("%s: the log has %q", reason, line)
		}
		if strings.Contains(e.body, "disk") {
			t.Errorf("%s: %s tells of the disk", reason, e.body)
		}
	}
}

// An endingStore ends all sessions of a user as soon as one begins.
type endingStore struct {
	*store.Memory
	end func(context.Context, store.Family)
}

func (s *endingStore) BeginFamily(ctx context.Context, f store.Family) error {
	err := s.Memory.BeginFamily(ctx, f)
	s.end(ctx, f)
	return err
}

// TestUserEndedWhileASessionBegins: the session that has just begun is ended
// as well, and nobody gets its tokens.
func TestUserEndedWhileASessionBegins(t *testing.T) {
	log := &endingStore{Memory: store.NewMemory(0)}
	r := start(t, func(c *Config) { c.Store = log })
	log.end = func(ctx context.Context, f store.Family) {
		if _, err := r.g.guard.Revoke(ctx, store.Revocation{Scope: store.Subject, ID: f.Subject, Before: time.Now(), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Error(err)
		}
	}
	for _, body := range []string{`{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`} {
		e := r.call("POST", "/auth/login", body, jsonType)
		if e.StatusCode != http.StatusServiceUnavailable || strings.Contains(e.body, "_token") || len(e.Header["Set-Cookie"]) > 0 {
			t.Errorf("%d %v %s", e.StatusCode, e.Header, e.body)
		}
		if left, err := log.ListFamilies(t.Context(), "test"); len(left) != 0 || err != nil {
			t.Errorf("%d sessions are left: %v", len(left), err)
		}
	}
}

// TestFailedLoginsComeBack: a wrong password is spent when it was answered, so
// that after the time in docs/security.md one more is looked at.
func TestFailedLoginsComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		try := func(want int) {
			t.Helper()
			if e := r.call("POST", "/auth/login", `{"username":"test","password":"wrong"}`, jsonType); e.StatusCode != want {
				t.Fatalf("%d, want %d: %s", e.StatusCode, want, e.body)
			}
		}
		for range pairFailures {
			try(http.StatusUnauthorized)
		}
		for range 3 {
			try(http.StatusTooManyRequests)
			time.Sleep(pairEvery)
			try(http.StatusUnauthorized)
		}
	})
}

// An unreadableStore takes everything, and its log of revocations cannot be
// read while it is broken.
type unreadableStore struct {
	*store.Memory
	broken atomic.Bool
}

func (s *unreadableStore) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if s.broken.Load() {
		return store.Page{}, errors.New("no disk")
	}
	return s.Memory.Read(ctx, after)
}

func (s *unreadableStore) Wait(ctx context.Context, after store.Cursor) error {
	if s.broken.Load() {
		return errors.New("no disk")
	}
	return s.Memory.Wait(ctx, after)
}

// TestNoLoginWhileRevocationsCannotBeRead: nobody knows whether the session
// would be revoked already, so none begins, though the store would take it.
func TestNoLoginWhileRevocationsCannotBeRead(t *testing.T) {
	log := &unreadableStore{}
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.login()
		r.claims(access)
		log.broken.Store(true)
		time.Sleep(15 * time.Second) // more than the default of Staleness
		for _, body := range []string{`{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`} {
			e := r.call("POST", "/auth/login", body, jsonType)
			wantProblem(t, e, http.StatusServiceUnavailable, "store_unavailable", "try again")
			if strings.Contains(e.body, "_token") || len(e.Header["Set-Cookie"]) > 0 || e.Header.Get("Retry-After") != "1" {
				t.Errorf("%v %s", e.Header, e.body)
			}
		}
		if left, err := log.ListFamilies(t.Context(), "test"); len(left) != 1 || err != nil {
			t.Errorf("there are %d sessions, want that from before: %v", len(left), err)
		}
		log.broken.Store(false)
		time.Sleep(5 * time.Second)
		r.login()
	}, func(c *Config) {
		log.Memory = store.NewMemory(0) // of the bubble
		c.Store = log
	})
}
