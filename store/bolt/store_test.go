package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
	"wsauth/store/storetest"
)

// open opens a file and closes it at the end of the test.
func open(t testing.TB, path string, limits store.Limits) *Store {
	t.Helper()
	s, err := Open(path, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "wsauth.db") }

func inAMinute(id string) store.Revocation {
	return store.Revocation{Target: store.TargetToken, ID: id, Expires: time.Now().Add(time.Minute)}
}

func TestStoreKeepsTheContract(t *testing.T) {
	for name, run := range map[string]func(*testing.T, func(*testing.T)){"bubble": synctest.Test, "real time": nil} {
		config := storetest.Config[*Store]{
			Open: func(t *testing.T) *Store { return open(t, newPath(t), store.Limits{}) },
			OpenSmall: func(t *testing.T) *Store {
				return open(t, newPath(t), store.Limits{Revocations: 3, Tickets: 3, Sessions: 3})
			},
			Reopen: func(t *testing.T, s *Store) *Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t, s.db.path, store.Limits{})
			},
			Run: run,
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Store(t, config)
		})
	}
}

func TestOpenTwice(t *testing.T) {
	path := newPath(t)
	open(t, path, store.Limits{})
	if s, err := Open(path, store.Limits{}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened again: %v, %v", s, err)
	}
}

func TestFileIsPrivate(t *testing.T) {
	path := newPath(t)
	open(t, path, store.Limits{})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestOpenForeignFile checks that other files are refused and left unchanged.
func TestOpenForeignFile(t *testing.T) {
	path := newPath(t)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, store.Limits{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a database of something else: %v", err)
	}
	text := []byte("no database, though it is long enough to be one")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, store.Limits{}); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a text: %v", err)
	}
	if left, err := os.ReadFile(path); err != nil || string(left) != string(text) {
		t.Errorf("%q is left, %v", left, err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "file"), store.Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestClose(t *testing.T) {
	s := open(t, newPath(t), store.Limits{})
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- s.Wait(t.Context(), page.Next) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, readErr := s.Read(t.Context(), store.Cursor{})
	for name, err := range map[string]error{"Wait": <-waited, "Read": readErr, "Revoke": s.Revoke(t.Context(), inAMinute("a"))} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// TestLimit checks that a full log refuses all revocations of a call that
// contains new ones, and accepts those that it already has. The sweep makes
// room and leaves nothing behind.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newPath(t), store.Limits{Revocations: 3})
		revoke := func(ids ...string) error {
			var all []store.Revocation
			for _, id := range ids {
				all = append(all, inAMinute(id))
			}
			return s.Revoke(t.Context(), all...)
		}
		if err := revoke("a", "b"); err != nil {
			t.Fatal(err)
		}
		if err := revoke("c", "a", "d"); !errors.Is(err, store.ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(time.Second)
		if err := revoke("a", "b", "c"); err != nil {
			t.Errorf("a revocation that fits: %v", err)
		}
		if err := s.Overfill(t.Context(), inAMinute("c"), inAMinute("d"), inAMinute("e")); err != nil || entries(t, s) != 5 {
			t.Errorf("beyond the limit: %v, %d entries", err, entries(t, s))
		}
		if err := revoke("f"); !errors.Is(err, store.ErrFull) {
			t.Errorf("after that: %v", err)
		}
		time.Sleep(time.Minute + store.ClockSlack + sweepEvery)
		synctest.Wait()
		if n := entries(t, s); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		if err := revoke("d", "e", "f"); err != nil {
			t.Errorf("after the sweep: %v", err)
		}
	})
}

// TestSweep checks that exactly the obsolete entries are deleted, in several
// steps.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newPath(t), store.Limits{})
		for range 3 {
			all := make([]store.Revocation, store.MaxPage)
			for i := range all {
				all[i] = inAMinute(fmt.Sprint(time.Now().UnixNano(), "-", i))
			}
			if err := s.Revoke(t.Context(), all...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		late := inAMinute("late")
		late.Expires = late.Expires.Add(time.Hour)
		if err := s.Revoke(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + store.ClockSlack + sweepEvery)
		synctest.Wait()
		if n := entries(t, s); n != 1 {
			t.Errorf("%d entries are left, want 1", n)
		}
	})
}

// TestSweepAll checks that exactly the expired tickets and sessions are
// deleted, in several steps, including those that were changed.
func TestSweepAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newPath(t), store.Limits{})
		now := time.Now()
		var wg sync.WaitGroup
		for n := range sweepSize + 10 {
			wg.Go(func() {
				key := store.TicketKey{byte(n), byte(n >> 8)}
				ticket := s.PutTicket(t.Context(), key, nil, now.Add(time.Minute))
				if n%10 == 0 {
					_, err := s.TakeTicket(t.Context(), key)
					ticket = errors.Join(ticket, err)
				}
				id := fmt.Sprint(n)
				session := s.BeginSession(t.Context(), store.Session{ID: id, Subject: id, Current: "a", Started: now, Expires: now.Add(time.Minute), Ends: now.Add(time.Hour)})
				if n%10 == 0 {
					_, err := s.RotateSession(t.Context(), store.Rotation{Subject: id, ID: id, From: "a", To: "b", Expires: now.Add(2 * time.Minute)})
					session = errors.Join(session, err)
				}
				if err := errors.Join(ticket, session); err != nil {
					t.Error(err)
				}
			})
		}
		late := s.BeginSession(t.Context(), store.Session{ID: "late", Subject: "late", Current: "a", Started: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)})
		late = errors.Join(late, s.PutTicket(t.Context(), store.TicketKey{31: 1}, nil, now.Add(time.Hour)))
		if late != nil {
			t.Fatal(late)
		}
		wg.Wait()
		entries(t, s)
		time.Sleep(2*time.Minute + sweepEvery)
		synctest.Wait()
		entries(t, s)
		err := s.db.bolt.View(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{ticketsBucket, sessionsBucket} {
				if n := tx.Bucket(name).Stats().KeyN; n != 1 {
					t.Errorf("%d %s are left, want 1", n, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// entries returns the number of entries in the log, and checks that the buckets
// of each kind have the same number of entries.
func entries(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	err := s.db.bolt.View(func(tx *bbolt.Tx) error {
		all := openTransaction(s.db.checked(tx, &sum{}))
		n = all.log.log.bucket.Stats().KeyN
		agree(t, "log", all.log.count, all.log.log, all.log.names, all.log.expiry)
		agree(t, "tickets", all.tickets.count, all.tickets.values, all.tickets.expiry)
		agree(t, "sessions", all.sessions.count, all.sessions.sessions, all.sessions.expiry, all.sessions.subjects)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// agree checks that buckets have as many keys as were counted.
func agree(t *testing.T, kind string, count counter, tables ...*table) {
	t.Helper()
	for i, b := range tables {
		if n := b.bucket.Stats().KeyN; uint64(n) != count.n {
			t.Errorf("%s: %d keys in bucket %d, counted %d", kind, n, i, count.n)
		}
	}
}
