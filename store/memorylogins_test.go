package store

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// session is a login of now, good for a minute.
func session(id, subject string) Session {
	now := time.Now()
	return Session{ID: id, Subject: subject, Current: "first", Began: now, Expires: now.Add(time.Minute), Ends: now.Add(time.Hour)}
}

// TestMemoryBoundsTickets: a full store refuses another, and has room again
// when one was taken or has expired.
func TestMemoryBoundsTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemoryWithin(Limits{Tickets: 2})
		put := func(n byte) error {
			return m.PutTicket(t.Context(), TicketKey{n}, []byte{n}, time.Now().Add(time.Minute))
		}
		if err := errors.Join(put(1), put(2)); err != nil {
			t.Fatal(err)
		}
		if err := put(3); !errors.Is(err, ErrFull) {
			t.Errorf("full: %v", err)
		}
		if _, err := m.TakeTicket(t.Context(), TicketKey{2}); err != nil {
			t.Error(err)
		}
		if err := put(3); err != nil {
			t.Errorf("after one was taken: %v", err)
		}
		time.Sleep(time.Minute)
		if err := errors.Join(put(4), put(5)); err != nil {
			t.Errorf("after all have expired: %v", err)
		}
		if len(m.tickets.items) != 2 || len(m.tickets.order) != 2 {
			t.Errorf("%d tickets, %d of them to expire", len(m.tickets.items), len(m.tickets.order))
		}
	})
}

// TestMemoryBoundsSessions: as for tickets, and nothing is left of a session
// that ended in any of the ways.
func TestMemoryBoundsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemoryWithin(Limits{Sessions: 3})
		begin := func(id string) error { return m.BeginSession(t.Context(), session(id, "u")) }
		if err := errors.Join(begin("a"), begin("b"), begin("c")); err != nil {
			t.Fatal(err)
		}
		if err := begin("d"); !errors.Is(err, ErrFull) {
			t.Errorf("full: %v", err)
		}
		if err := m.EndSession(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		reuse := Rotation{ID: "b", From: "never", To: "next", Expires: time.Now().Add(time.Minute)}
		if _, err := m.RotateSession(t.Context(), reuse); !errors.Is(err, ErrReused) {
			t.Errorf("reuse: %v", err)
		}
		if err := errors.Join(begin("d"), begin("e")); err != nil {
			t.Errorf("after two have ended: %v", err)
		}
		time.Sleep(time.Minute)
		if err := begin("f"); err != nil {
			t.Errorf("after all have expired: %v", err)
		}
		if len(m.sessions.items) != 1 || len(m.sessions.order) != 1 || len(m.subjects["u"]) != 1 {
			t.Errorf("%d sessions, %d of them to expire, %d of the subject", len(m.sessions.items), len(m.sessions.order), len(m.subjects["u"]))
		}
		if err := m.EndSession(t.Context(), "f"); err != nil || len(m.subjects) != 0 {
			t.Errorf("%d subjects are left, %v", len(m.subjects), err)
		}
	})
}

// TestShelfExpiresInOrder: whatever is moved or removed, what is due comes out
// by the moment at which it expires, and nothing else does.
func TestShelfExpiresInOrder(t *testing.T) {
	start := time.Now()
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	s := newShelf[string, int]()
	for n := range 100 {
		s.put(fmt.Sprint(n), n, at(n*37%100))
	}
	want := map[int]int{} // by value, when it expires
	for n := range 100 {
		switch n % 3 {
		case 0:
			s.remove(fmt.Sprint(n))
		case 1:
			s.put(fmt.Sprint(n), n, at(200-n))
			want[n] = 200 - n
		default:
			want[n] = n * 37 % 100
		}
	}
	for second := range 201 {
		for n, ok := s.due(at(second)); ok; n, ok = s.due(at(second)) {
			if want[n] != second {
				t.Errorf("%d came out at %d, want %d", n, second, want[n])
			}
			delete(want, n)
		}
	}
	if len(want) != 0 || len(s.items) != 0 || len(s.order) != 0 {
		t.Errorf("%v never came out, %d and %d are left", want, len(s.items), len(s.order))
	}
}
