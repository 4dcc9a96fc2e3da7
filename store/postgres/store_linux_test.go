package postgres

import (
	"errors"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/store/storetest"
)

// TestStoreKeepsTheContract checks the contract with the suites of storetest,
// with notifications, and through PgBouncer without them.
func TestStoreKeepsTheContract(t *testing.T) {
	direct := shared(t).dsn("app")
	for name, base := range map[string]Config{
		"direct":    {URL: direct, ListenURL: direct},
		"pgbouncer": {URL: bouncer(t)},
	} {
		configured := func(limits store.Limits) Config {
			c := newConfig(base.URL)
			c.ListenURL, c.Limits = base.ListenURL, limits
			return c
		}
		config := storetest.Config[*Store]{
			Open: func(t *testing.T) *Store { return open(t, configured(store.Limits{})) },
			OpenSmall: func(t *testing.T) *Store {
				return open(t, configured(store.Limits{Revocations: 3, Tickets: 3, Sessions: 3, Events: 3}))
			},
			Join: func(t *testing.T, s *Store) *Store { return open(t, s.config) },
			Reopen: func(t *testing.T, s *Store) *Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t, s.config)
			},
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Cluster(t, config)
		})
	}
}

// TestClose checks that Close ends calls in progress, and that later calls
// return ErrClosed.
func TestClose(t *testing.T) {
	t.Parallel()
	s := open(t, newConfig(shared(t).dsn("app")))
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(t.Context(), page.Next) }()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := <-waited; !errors.Is(err, store.ErrClosed) {
		t.Errorf("Wait: %v, want ErrClosed", err)
	}
	for name, call := range everyCall(t.Context(), s) {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// TestHeartbeatInTheFuture checks that after the clock of the server was set
// back, Page.Known is not in the future.
func TestHeartbeatInTheFuture(t *testing.T) {
	t.Parallel()
	c := newConfig(shared(t).dsn("app"))
	s := open(t, c)
	shared(t).exec(t, "update "+quoted(c)+".heartbeat set at = at + 3600000000")
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || page.Known.After(page.Now) || page.Now.Sub(page.Known) > 10*time.Second {
		t.Errorf("Known is %v at %v, %v", page.Known, page.Now, err)
	}
	shared(t).until(t, "select at <= extract(epoch from clock_timestamp()) * 1000000 from "+quoted(c)+".heartbeat")
	waitForKnown(t, s, page.Now)
}
