package postgres

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"wsauth/store"
)

// newServerConfig starts a server for this test only, which the test may stop
// or kill. It returns the server and a configuration with the default timeout.
func newServerConfig(t *testing.T, options ...string) (*server, Config) {
	t.Helper()
	s, stop := newServer(t, options...)
	t.Cleanup(stop)
	s.exec(t, "create role app login; grant create on database postgres to app")
	c := newConfig(s.dsn("app"))
	c.Timeout = 0
	return s, c
}

// everyCall returns functions that call one method of each kind, by the name of
// the method.
func everyCall(ctx context.Context, s *Store) map[string]func() error {
	expires := time.Now().Add(time.Hour)
	return map[string]func() error{
		"Read": func() error { _, err := s.Read(ctx, store.Cursor{}); return err },
		"Revoke": func() error {
			return s.Revoke(ctx, store.Revocation{Target: store.TargetToken, ID: "a", Expires: expires})
		},
		"Now":  func() error { _, err := s.Now(ctx); return err },
		"Take": func() error { _, err := s.Take(ctx, "key", time.Second, 10); return err },
		"PutTicket": func() error {
			err := s.PutTicket(ctx, store.TicketKey{1}, nil, expires)
			if errors.Is(err, store.ErrInvalid) { // an earlier call has put the ticket
				return nil
			}
			return err
		},
		"FindSession": func() error {
			_, err := s.FindSession(ctx, "ann", "a")
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		},
		"KeepNode": func() error { _, err := s.KeepNode(ctx, store.Node{ID: "n"}, time.Hour); return err },
	}
}

// wantCalls repeats each call until it succeeds, for at most 20 seconds.
func wantCalls(t *testing.T, s *Store) {
	t.Helper()
	for name, call := range everyCall(t.Context(), s) {
		err := call()
		for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); err = call() {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestD3SuspendedServer runs testSuspendedServer with and without PgBouncer.
func TestD3SuspendedServer(t *testing.T) {
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		server, c := newServerConfig(t)
		testSuspendedServer(t, server, c)
	})
	t.Run("pgbouncer", func(t *testing.T) {
		t.Parallel()
		server, c := newServerConfig(t)
		dsn, stop := server.bounce(t)
		t.Cleanup(stop)
		c.URL = dsn
		testSuspendedServer(t, server, c)
	})
}

// testSuspendedServer checks that calls fail within about a second while the
// server does not answer, and succeed afterwards.
func testSuspendedServer(t *testing.T, server *server, c Config) {
	s := open(t, c)
	wantCalls(t, s)
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	// Stop the children too: they answer while only their parent is stopped.
	server.signalAll(t, syscall.SIGSTOP)
	for range 2 { // first on open connections, then while connecting
		results := map[string]chan error{}
		started := time.Now()
		for name, call := range everyCall(t.Context(), s) {
			result := make(chan error, 1)
			results[name] = result
			go func() { result <- call() }()
		}
		for name, result := range results {
			err := <-result
			if took := time.Since(started); err == nil || took > 3*time.Second { // about 1 s on an idle machine
				t.Errorf("%s: %v after %v", name, err, took)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Now(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Now: %v", err)
	}
	if err := s.Wait(t.Context(), page.Next); err == nil {
		t.Error("Wait returns no error")
	}
	server.signalAll(t, syscall.SIGCONT)
	wantCalls(t, s)
	again, err := s.Read(t.Context(), page.Next)
	if err != nil || again.Next.Epoch != page.Next.Epoch {
		t.Errorf("%+v, %v", again, err)
	}
}

// TestD2KilledServer checks that after a crash of the server, the log continues
// with what was confirmed, and tickets that were taken cannot be taken again.
func TestD2KilledServer(t *testing.T) {
	t.Parallel()
	server, c := newServerConfig(t)
	s := open(t, c)
	wantCalls(t, s)
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	taken, kept := store.TicketKey{2}, store.TicketKey{3}
	for _, key := range []store.TicketKey{kept, taken} {
		if err := s.PutTicket(t.Context(), key, []byte("value"), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.TakeTicket(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(t.Context(), page.Next) }()
	server.signalAll(t, syscall.SIGKILL)
	<-server.process.done
	if err := <-waited; err == nil {
		t.Error("Wait returns no error")
	}
	if err := s.Revoke(t.Context(), store.Revocation{Target: store.TargetToken, ID: "lost", Expires: time.Now().Add(time.Hour)}); err == nil {
		t.Error("Revoke returns no error while the server is down")
	}
	server.start(t)
	wantCalls(t, s)
	again, err := s.Read(t.Context(), page.Next)
	if err != nil || again.Next.Epoch != page.Next.Epoch || len(again.Revocations) != 1 || again.Revocations[0].ID != "a" {
		t.Errorf("%+v, %v, want a revocation of a after %v", again, err, page.Next)
	}
	if value, err := s.TakeTicket(t.Context(), taken); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a taken ticket: %q, %v", value, err)
	}
	if value, err := s.TakeTicket(t.Context(), kept); err != nil || string(value) != "value" {
		t.Errorf("another ticket: %q, %v", value, err)
	}
	waitForKnown(t, s, again.Now)
}

// waitForKnown waits until Page.Known is after a time.
func waitForKnown(t *testing.T, s *Store, after time.Time) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		page, err := s.Read(t.Context(), store.Cursor{})
		if err == nil && page.Known.After(after) {
			if page.Known.After(page.Now) {
				t.Errorf("Known %v is after Now %v", page.Known, page.Now)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("Known is %v, want one after %v; %v", page.Known, after, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
