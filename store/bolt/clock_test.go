package bolt

import (
	"crypto/sha256"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// openAhead opens a file as if the system clock were an hour ahead, to be set
// back later.
func openAhead(t *testing.T, path string) *Store {
	t.Helper()
	c := newClock()
	c.showed = c.showed.Add(time.Hour)
	s, err := openWith(path, store.Limits{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ticketCount(t *testing.T, s *Store) (n uint64) {
	t.Helper()
	if err := s.db.bolt.View(func(tx *bbolt.Tx) error { n = openTickets(s.db.checked(tx, nil)).count.n; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestL12_ClockSetBack checks that setting the clock back does not change the
// lifetime of tickets, and that expired tickets are still swept.
func TestL12_ClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openAhead(t, newPath(t))
		defer s.Close()
		good, dead := store.TicketKey(sha256.Sum256([]byte("good"))), store.TicketKey(sha256.Sum256([]byte("dead")))
		for _, key := range []store.TicketKey{good, dead} {
			if err := s.PutTicket(t.Context(), key, []byte("value"), time.Now().Add(30*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if value, err := s.TakeTicket(t.Context(), good); err != nil || string(value) != "value" {
			t.Errorf("before it expires: %q, %v", value, err)
		}
		time.Sleep(time.Millisecond)
		if value, err := s.TakeTicket(t.Context(), dead); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after it has expired: %q, %v", value, err)
		}
		if n := ticketCount(t, s); n != 1 {
			t.Errorf("%d tickets before the sweep, want the expired one", n)
		}
		time.Sleep(sweepEvery)
		synctest.Wait()
		if n := ticketCount(t, s); n != 0 {
			t.Errorf("%d tickets after the sweep", n)
		}
	})
}

// TestL12_ClockSetBackBetweenRuns checks that if the clock is set back between
// two runs, no ticket of the earlier run is valid, and everything else is
// present. If the clock is not set back, tickets remain valid; storetest checks
// this.
func TestL12_ClockSetBackBetweenRuns(t *testing.T) {
	path := newPath(t)
	s := openAhead(t, path)
	key := store.TicketKey(sha256.Sum256([]byte("a")))
	putAndClose := func(s *Store) {
		t.Helper()
		err := s.PutTicket(t.Context(), key, []byte("value"), time.Now().Add(30*time.Second))
		if err := errors.Join(err, s.Revoke(t.Context(), inAMinute("b")), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	putAndClose(s)
	s = open(t, path, store.Limits{})
	if value, err := s.TakeTicket(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a ticket of the earlier run: %q, %v", value, err)
	}
	if n := ticketCount(t, s); n != 0 {
		t.Errorf("%d tickets", n)
	}
	if n := entries(t, s); n == 0 {
		t.Error("the revocation is gone")
	}
	putAndClose(s)
	s = open(t, path, store.Limits{})
	if value, err := s.TakeTicket(t.Context(), key); err != nil || string(value) != "value" {
		t.Errorf("a ticket of this clock: %q, %v", value, err)
	}
}
