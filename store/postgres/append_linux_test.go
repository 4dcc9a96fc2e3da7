package postgres

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// TestFullForSome checks that of concurrent calls, which share transactions, as
// many succeed as the log has room for, and that a log that is full of
// revocations still accepts events.
func TestFullForSome(t *testing.T) {
	t.Parallel()
	c := newConfig(shared(t).dsn("app"))
	c.Limits = store.Limits{Revocations: 10, Events: 1000}
	s := open(t, c)
	var succeeded atomic.Int64
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := s.Revoke(t.Context(), revocation(fmt.Sprint(i)))
			if err == nil {
				succeeded.Add(1)
			} else if !errors.Is(err, store.ErrFull) {
				t.Errorf("Revoke: %v", err)
			}
		})
		wg.Go(func() {
			if err := s.Publish(t.Context(), store.Event{Kind: "k", ID: fmt.Sprint(i), Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Errorf("Publish: %v", err)
			}
		})
	}
	wg.Wait()
	usage, err := s.RevocationUsage(t.Context())
	if err != nil || usage.Entries != 10 || succeeded.Load() != 10 {
		t.Errorf("%d calls succeeded, %+v, %v", succeeded.Load(), usage, err)
	}
	if err := s.Overfill(t.Context(), revocation("a"), revocation("b")); err != nil {
		t.Errorf("Overfill: %v", err)
	}
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != 12 || len(page.Events) != 50 {
		t.Errorf("%d revocations and %d events, %v", len(page.Revocations), len(page.Events), err)
	}
}

// TestD5KilledConnections checks that while all connections are ended again and
// again, each revocation that is repeated until it succeeds arrives once on
// another node.
func TestD5KilledConnections(t *testing.T) {
	t.Parallel()
	server, c := newServerConfig(t)
	c.ListenURL = c.URL
	writer, reader := open(t, c), open(t, c)
	many := testenv.Size(500, 5000)
	stop := make(chan struct{})
	var killing, writing sync.WaitGroup
	killing.Go(func() {
		for {
			server.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	for worker := range 10 {
		writing.Go(func() {
			for i := worker; i < many; i += 10 {
				for end := time.Now().Add(20 * time.Second); ; {
					err := writer.Revoke(t.Context(), revocation(fmt.Sprint(i)))
					if err == nil {
						break
					}
					if time.Now().After(end) {
						t.Errorf("Revoke: %v", err)
						return
					}
				}
			}
		})
	}
	seen := map[string]time.Time{}
	var cursor store.Cursor
	for end := time.Now().Add(time.Minute); len(seen) < many; {
		if time.Now().After(end) {
			t.Fatalf("%d of %d revocations arrived", len(seen), many)
		}
		page, err := reader.Read(t.Context(), cursor)
		if err != nil {
			continue
		}
		for _, r := range page.Revocations {
			// A repeated call can have a later Expires, which is a change.
			if !r.Expires.After(seen[r.ID]) {
				t.Errorf("%s arrived twice", r.ID)
			}
			seen[r.ID] = r.Expires
		}
		cursor = page.Next
		if page.End && len(seen) < many {
			_ = reader.Wait(t.Context(), cursor)
		}
	}
	writing.Wait()
	close(stop)
	killing.Wait()
}
