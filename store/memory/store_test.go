package memory

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
)

// session returns a session that starts now and expires in a minute.
func session(id, subject string) store.Session {
	now := time.Now()
	return store.Session{ID: id, Subject: subject, Current: "first", Started: now, Expires: now.Add(time.Minute), Ends: now.Add(time.Hour)}
}

// TestMemoryBoundsTickets checks that a full store refuses another ticket, and
// has room again when a ticket was taken or has expired.
func TestMemoryBoundsTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(store.Limits{Tickets: 2})
		put := func(n byte) error {
			return m.PutTicket(t.Context(), store.TicketKey{n}, []byte{n}, time.Now().Add(time.Minute))
		}
		if err := errors.Join(put(1), put(2)); err != nil {
			t.Fatal(err)
		}
		if err := put(3); !errors.Is(err, store.ErrFull) {
			t.Errorf("full: %v", err)
		}
		if _, err := m.TakeTicket(t.Context(), store.TicketKey{2}); err != nil {
			t.Error(err)
		}
		if err := put(3); err != nil {
			t.Errorf("after one was taken: %v", err)
		}
		time.Sleep(time.Minute)
		if err := errors.Join(put(4), put(5)); err != nil {
			t.Errorf("after all have expired: %v", err)
		}
		if len(m.values.items) != 2 || len(m.values.order) != 2 {
			t.Errorf("%d tickets, %d of them to expire", len(m.values.items), len(m.values.order))
		}
	})
}

// TestMemoryBoundsSessions checks the same for sessions. It also checks that
// nothing is left of a session, however it ended.
func TestMemoryBoundsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(store.Limits{Sessions: 3})
		begin := func(id string) error { return m.BeginSession(t.Context(), session(id, "u")) }
		if err := errors.Join(begin("a"), begin("b"), begin("c")); err != nil {
			t.Fatal(err)
		}
		if err := begin("d"); !errors.Is(err, store.ErrFull) {
			t.Errorf("full: %v", err)
		}
		if err := m.EndSession(t.Context(), "u", "a"); err != nil {
			t.Error(err)
		}
		reuse := store.Rotation{Subject: "u", ID: "b", From: "never", To: "next", Expires: time.Now().Add(time.Minute)}
		if _, err := m.RotateSession(t.Context(), reuse); !errors.Is(err, store.ErrReused) {
			t.Errorf("reuse: %v", err)
		}
		if err := errors.Join(begin("d"), begin("e")); err != nil {
			t.Errorf("after two have ended: %v", err)
		}
		time.Sleep(time.Minute)
		if err := begin("f"); err != nil {
			t.Errorf("after all have expired: %v", err)
		}
		if len(m.byID.items) != 1 || len(m.byID.order) != 1 || len(m.bySubject["u"]) != 1 {
			t.Errorf("%d sessions, %d of them to expire, %d of the subject", len(m.byID.items), len(m.byID.order), len(m.bySubject["u"]))
		}
		if err := m.EndSession(t.Context(), "u", "f"); err != nil || len(m.bySubject) != 0 {
			t.Errorf("%d subjects are left, %v", len(m.bySubject), err)
		}
	})
}

// TestExpiringMapOrder checks that exactly the due values are yielded, in the
// order of their expiry, even after values were changed or removed.
func TestExpiringMapOrder(t *testing.T) {
	start := time.Now()
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	s := newExpiringMap[string, int]()
	for n := range 100 {
		s.put(fmt.Sprint(n), n, at(n*37%100))
	}
	want := map[int]int{} // expiry of each value
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
		for n := range s.due(at(second)) {
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
