package bolt

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"wsauth/store"
)

// A ledger records the reports of children. They determine the contents that
// the file must have.
type ledger struct {
	revoked  map[string]bool
	tickets  map[string]string // the last report about each
	sessions map[string]*lineage
}

// A lineage records the reports about a session.
type lineage struct {
	rotated  int  // acknowledged rotations
	rotating bool // one more rotation may have been made
	ending   bool // the session may have ended
	ended    bool
	gone     bool // ended by the check itself
}

func newLedger() *ledger {
	return &ledger{revoked: map[string]bool{}, tickets: map[string]string{}, sessions: map[string]*lineage{}}
}

// note records a line of a child.
func (l *ledger) note(t *testing.T, verb, name string) {
	t.Helper()
	f := l.sessions[name]
	switch verb {
	case "revoked":
		l.revoked[name] = true
	case "put", "taking", "took":
		l.tickets[name] = verb
	case "started":
		l.sessions[name] = &lineage{}
	case "rotating":
		f.rotating = true
	case "rotated":
		f.rotating = false
		f.rotated++
	case "ending":
		f.ending = true
	case "ended":
		f.ended = true
	default:
		t.Fatalf("a child reported %q of %q", verb, name)
	}
}

// check compares a file with all reports. It takes the tickets and ends the
// sessions that it finds; later checks must not find them again.
func (l *ledger) check(t *testing.T, s *Store) {
	t.Helper()
	found := readGroups(t, s)
	for name := range l.revoked {
		if found[name] == 0 {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	for name, n := range found {
		if n != groupSize {
			t.Errorf("%d of the %d of %s", n, groupSize, name)
		}
	}
	var wg sync.WaitGroup // of writes that share their syncs
	taken := make(chan string, len(l.tickets))
	for name, verb := range l.tickets {
		wg.Go(func() {
			if l.checkTicket(t, s, name, verb) {
				taken <- name
			}
		})
	}
	wg.Wait()
	close(taken)
	for name := range taken {
		l.tickets[name] = "took"
	}
	all, err := s.ListSessions(t.Context(), killSubject)
	if err != nil {
		t.Fatal(err)
	}
	current := map[string]store.Session{}
	for _, f := range all {
		current[f.ID] = f
		if l.sessions[f.ID] == nil { // the child was killed between the start of the session and its report
			l.sessions[f.ID] = &lineage{}
		}
	}
	for name, known := range l.sessions {
		f, there := current[name]
		wg.Go(func() { known.check(t, s, name, f, there) })
	}
	wg.Wait()
}

// checkTicket takes a ticket, and reports whether it existed.
func (l *ledger) checkTicket(t *testing.T, s *Store, name, verb string) bool {
	value, err := s.TakeTicket(t.Context(), sha256.Sum256([]byte(name)))
	switch {
	case err == nil && verb == "took":
		t.Errorf("ticket %s was handed out twice", name)
	case err == nil && string(value) != name:
		t.Errorf("ticket %s is %q", name, value)
	case err == nil:
		return true
	case !errors.Is(err, store.ErrNotFound):
		t.Errorf("ticket %s: %v", name, err)
	case verb == "put":
		t.Errorf("ticket %s is lost", name)
	}
	return false
}

// check compares a session with the reports about it, and ends it.
func (f *lineage) check(t *testing.T, s *Store, name string, found store.Session, there bool) {
	switch {
	case there && (f.ended || f.gone):
		t.Errorf("session %s is back after its end", name)
	case !there && !f.ending && !f.gone:
		t.Errorf("session %s is lost", name)
	case there && found.Current != fmt.Sprint(f.rotated) && !(f.rotating && found.Current == fmt.Sprint(f.rotated+1)):
		t.Errorf("session %s is at %s, was at %d", name, found.Current, f.rotated)
	}
	want := store.ErrNotFound
	if there {
		want = store.ErrReused
	}
	if _, err := s.RotateSession(t.Context(), killRotation(name, -1)); !errors.Is(err, want) {
		t.Errorf("session %s: %v, want %v", name, err, want)
	}
	f.gone = true
}
