package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/logintest"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
)

// TestFailAnswers checks that every failure to start a session is answered as
// in docs/errors.md, with the time to wait, and logged with its reason.
func TestFailAnswers(t *testing.T) {
	r := start(t)
	_, page, _ := strings.Cut(string(must(os.ReadFile("../docs/errors.md"))), "| reason | HTTP | when |\n")
	for reason, tt := range map[string]struct {
		err  error
		wait string
	}{
		"clock_behind":      {fmt.Errorf("x: %w", errClockBehind), "5"},
		"session_ended":     {fmt.Errorf("x: %w", errEndedMeanwhile), "1"},
		"store_unavailable": {errors.New("no disk"), "1"},
	} {
		w := httptest.NewRecorder()
		log := &wstest.Log{}
		r.s.respond.fail(w, httptest.NewRequest(http.MethodPost, "/auth/login", nil), slog.New(slog.NewTextHandler(log, nil)), "login failed", tt.err)
		e := logintest.Recorded(w)
		e.WantProblem(t, http.StatusServiceUnavailable, reason, "")
		if got := e.Header.Get("Retry-After"); got != tt.wait {
			t.Errorf("%s: Retry-After %q, want %q", reason, got, tt.wait)
		}
		_, row, _ := strings.Cut(page, "\n| `"+reason+"` | 503 |")
		if row, _, _ = strings.Cut(row, "\n"); !strings.Contains(row, "`Retry-After: "+tt.wait+"`") {
			t.Errorf("%s: the page has %q", reason, row)
		}
		if reason == "store_unavailable" {
			log = r.log
		}
		if line := log.String(); !strings.Contains(line, "reason="+reason) || !strings.Contains(line, "login failed") {
			t.Errorf("%s: the log has %q", reason, line)
		}
		if strings.Contains(e.Text, "disk") {
			t.Errorf("%s: %s mentions the disk", reason, e.Text)
		}
	}
}

// An endingStore calls end as soon as a session begins.
type endingStore struct {
	*memory.Store
	end func(context.Context, store.Session)
}

func (s *endingStore) BeginSession(ctx context.Context, session store.Session) error {
	err := s.Store.BeginSession(ctx, session)
	s.end(ctx, session)
	return err
}

// TestUserEndedWhileASessionBegins checks that a session that has just started
// ends with the others, and that its tokens are not returned.
func TestUserEndedWhileASessionBegins(t *testing.T) {
	log := &endingStore{Store: memory.New(store.Limits{})}
	r := start(t, func(c *setup) { c.Store = log })
	log.end = func(ctx context.Context, session store.Session) {
		if _, err := r.guard.Revoke(ctx, store.Revocation{Target: store.TargetSubject, ID: session.Subject, Before: time.Now(), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Error(err)
		}
	}
	for _, body := range []string{`{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`} {
		e := r.Call("POST", "/auth/login", body, jsonType)
		if e.StatusCode != http.StatusServiceUnavailable || strings.Contains(e.Text, "_token") || len(e.Header["Set-Cookie"]) > 0 {
			t.Errorf("%d %v %s", e.StatusCode, e.Header, e.Text)
		}
		if left, err := log.ListSessions(t.Context(), "test"); len(left) != 0 || err != nil {
			t.Errorf("%d sessions are left: %v", len(left), err)
		}
	}
}

// TestFailedLoginsComeBack checks that after the time in docs/security.md, one
// more password is checked.
func TestFailedLoginsComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		try := func(want int) {
			t.Helper()
			if e := r.Call("POST", "/auth/login", `{"username":"test","password":"wrong"}`, jsonType); e.StatusCode != want {
				t.Fatalf("%d, want %d: %s", e.StatusCode, want, e.Text)
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

// An unreadableStore accepts writes, but its log of revocations cannot be read
// while it is broken.
type unreadableStore struct {
	*memory.Store
	broken atomic.Bool
}

func (s *unreadableStore) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if s.broken.Load() {
		return store.Page{}, errors.New("no disk")
	}
	return s.Store.Read(ctx, after)
}

func (s *unreadableStore) Wait(ctx context.Context, after store.Cursor) error {
	if s.broken.Load() {
		return errors.New("no disk")
	}
	return s.Store.Wait(ctx, after)
}

// TestNoLoginWhileRevocationsCannotBeRead checks that no session starts while
// it is unknown whether it would be revoked, even though the store would accept
// it.
func TestNoLoginWhileRevocationsCannotBeRead(t *testing.T) {
	log := &unreadableStore{}
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		r.Claims(access)
		log.broken.Store(true)
		time.Sleep(15 * time.Second) // more than the default of Staleness
		for _, body := range []string{`{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`} {
			e := r.Call("POST", "/auth/login", body, jsonType)
			e.WantProblem(t, http.StatusServiceUnavailable, "store_unavailable", "try again")
			if strings.Contains(e.Text, "_token") || len(e.Header["Set-Cookie"]) > 0 || e.Header.Get("Retry-After") != "1" {
				t.Errorf("%v %s", e.Header, e.Text)
			}
		}
		if left, err := log.ListSessions(t.Context(), "test"); len(left) != 1 || err != nil {
			t.Errorf("there are %d sessions, want that from before: %v", len(left), err)
		}
		log.broken.Store(false)
		time.Sleep(5 * time.Second)
		r.Login()
	}, func(c *setup) {
		log.Store = memory.New(store.Limits{}) // of the bubble
		c.Store = log
	})
}

// TestNoTokenOutlivesTheSession checks that a token expires with its session,
// however late it is issued.
func TestNoTokenOutlivesTheSession(t *testing.T) {
	r := start(t, func(c *setup) { c.AccessTTL, c.RefreshTTL, c.SessionTTL = time.Minute, time.Hour, 2*time.Hour })
	for _, left := range []time.Duration{2 * time.Hour, 61 * time.Minute, time.Minute, 20500 * time.Millisecond, 2 * time.Second, 1700 * time.Millisecond} {
		session := store.Session{ID: store.NewSessionID(time.Now()), Subject: "test", Current: "jti", Expires: time.Now().Add(time.Hour), Ends: time.Now().Add(left)}
		got, err := r.s.sessions.issuer.issue(session, false, false)
		if err != nil {
			t.Errorf("%v before the end: %v", left, err)
			continue
		}
		for kind, tok := range map[string]time.Time{"access": got.Access.Claims.ExpiresAt, "refresh": got.Refresh.Claims.ExpiresAt} {
			if tok.After(session.Ends) || tok.After(session.Expires) {
				t.Errorf("%v before the end: the %s token lives %v too long", left, kind, tok.Sub(session.Ends))
			}
		}
		if got.Access.Claims.ExpiresAt.Before(session.Ends.Add(-2*time.Second)) && lifetime(got.Access) < 54 {
			t.Errorf("%v before the end: the access token lives %d s", left, lifetime(got.Access))
		}
		if got.Refresh.Claims.ID != "jti" {
			t.Errorf("the refresh token is %s, not the session's current one", got.Refresh.Claims.ID)
		}
	}
	if _, err := r.s.sessions.issuer.issue(store.Session{ID: "a", Subject: "test", Current: "jti", Expires: time.Now(), Ends: time.Now()}, false, false); !errors.Is(err, errSessionOver) {
		t.Errorf("at the end: %v", err)
	}
}

func TestSpread(t *testing.T) {
	lives := map[time.Duration]bool{}
	for range 2000 {
		sid := store.NewSessionID(time.Now())
		life := spreadTTL(10*time.Minute, sid)
		if life < 9*time.Minute || life > 10*time.Minute || life%time.Second != 0 {
			t.Fatalf("%v of 10 minutes", life)
		}
		if again := spreadTTL(10*time.Minute, sid); again != life {
			t.Fatalf("one session has the lives %v and %v", life, again)
		}
		lives[life] = true
	}
	if len(lives) != 61 { // all of them, except once in 10^12 runs
		t.Errorf("2000 sessions have %d lives", len(lives))
	}
	if life := spreadTTL(59*time.Second, "a"); life != 59*time.Second {
		t.Errorf("a short life is changed to %v", life)
	}
}

// TestSpreadIsOfLongLives checks that lifetimes below spreadFrom are not
// spread, and that longer ones are 90 to 100 % of AccessTTL.
func TestSpreadIsOfLongLives(t *testing.T) {
	longest, shortest := time.Duration(0), defaultAccessTTL
	for i := range 100_000 {
		ttl := spreadTTL(defaultAccessTTL, fmt.Sprint(i))
		longest, shortest = max(longest, ttl), min(shortest, ttl)
	}
	if longest != defaultAccessTTL || shortest != defaultAccessTTL/10*9 {
		t.Errorf("access tokens live %v to %v", shortest, longest)
	}
	for ttl, differ := range map[time.Duration]bool{spreadFrom - time.Second: false, spreadFrom: true} {
		lives := map[time.Duration]bool{}
		for i := range 1000 {
			lives[spreadTTL(ttl, fmt.Sprint(i))] = true
		}
		if (len(lives) > 1) != differ {
			t.Errorf("tokens for %v have %d lives", ttl, len(lives))
		}
	}
}
