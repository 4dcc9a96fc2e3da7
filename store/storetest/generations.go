package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/store"
)

// testSessionSubject checks that another subject can neither find, use nor end
// a session.
func testSessionSubject(t *testing.T, s store.Sessions) {
	session := newSession("a", "ann")
	begin(t, s, session, newSession("b", "bob"))
	for _, subject := range []string{"bob", "an", "annn", "ann\x00", "ANN"} {
		for _, token := range []string{"0", "stolen"} {
			if got, err := s.RotateSession(t.Context(), ofSubject(subject, rotation("a", token, "1"))); !errors.Is(err, store.ErrNotFound) || got != (store.Session{}) {
				t.Errorf("RotateSession of %q: %+v, %v, want ErrNotFound", subject, got, err)
			}
			p := store.Presentation{Subject: subject, ID: "a", Token: token, Generation: 7}
			wantPresentNotFound(t, s, p)
		}
		wantNotFound(t, s, subject, "a")
		if err := s.EndSession(t.Context(), subject, "a"); err != nil {
			t.Errorf("EndSession of %q: %v", subject, err)
		}
	}
	if got, err := s.RotateSession(t.Context(), ofSubject("", rotation("a", "0", "1"))); !errors.Is(err, store.ErrInvalid) || got != (store.Session{}) {
		t.Errorf("RotateSession without a subject: %+v, %v, want ErrInvalid", got, err)
	}
	wantPresentNotFound(t, s, store.Presentation{ID: "a", Token: "0"})
	wantFound(t, s, session)
	wantListed(t, s, "ann", session)
}

// wantFound asserts that FindSession returns a session.
func wantFound(t *testing.T, s store.Sessions, want store.Session) {
	t.Helper()
	if got, err := s.FindSession(t.Context(), want.Subject, want.ID); err != nil || got != want {
		t.Errorf("FindSession %s of %s: %+v, %v\nwant %+v", want.ID, want.Subject, got, err, want)
	}
}

// wantNotFound asserts that FindSession finds nothing.
func wantNotFound(t *testing.T, s store.Sessions, subject, id string) {
	t.Helper()
	if got, err := s.FindSession(t.Context(), subject, id); !errors.Is(err, store.ErrNotFound) || got != (store.Session{}) {
		t.Errorf("FindSession %.10q of %.10q: %+v, %v, want ErrNotFound", id, subject, got, err)
	}
}

// testSessionFind checks that a session is found as it was last changed, until
// it ends.
func testSessionFind(t *testing.T, s store.Sessions) {
	wantNotFound(t, s, "ann", "a")
	session := newSession("a", "ann")
	begin(t, s, session, newSession("b", "ann"))
	wantFound(t, s, session)
	wantFound(t, s, wantRotated(t, s, keyed("a", "0", "1", "key"), "1"))
	wantFound(t, s, wantPresented(t, s, presentation("a", "1")))
	if err := s.EndSession(t.Context(), "ann", "a"); err != nil {
		t.Error(err)
	}
	wantNotFound(t, s, "ann", "a")
	wantReused(t, s, rotation("b", "stolen", "1"), newSession("b", "ann"))
	wantNotFound(t, s, "ann", "b")
	long := strings.Repeat("x", 10_000)
	for _, name := range []string{"", "never", long} {
		wantNotFound(t, s, "ann", name)
		wantNotFound(t, s, name, "a")
	}
}

// testSessionParent checks that the parent of a session stays with it.
func testSessionParent(t *testing.T, s store.Sessions) {
	login, host := newSession("login", "ann"), newSession("host", "ann")
	host.Parent = "login"
	longest := newSession("longest", "ann")
	longest.Parent = strings.Repeat("\u00fc", 128)
	begin(t, s, login, host, longest)
	wantListed(t, s, "ann", host, login, longest)
	for _, got := range []store.Session{
		wantRotated(t, s, rotation("host", "0", "1"), "1"),
		wantRotated(t, s, rotation("host", "0", "2"), "1"),
		wantPresented(t, s, presentation("host", "1")),
	} {
		if got.Parent != "login" {
			t.Errorf("the parent is %q", got.Parent)
		}
	}
	if err := s.EndSession(t.Context(), "ann", "login"); err != nil {
		t.Error(err)
	}
	wantNotFound(t, s, "ann", "login")
	wantPresented(t, s, presentation("host", "1"))
}

// testSessionGenerations checks that each rotation increments the generation,
// and a repeated one or a presentation does not.
func testSessionGenerations(t *testing.T, s store.Sessions) {
	for first, id := range map[uint64]string{0: "new", 41: "restored"} {
		session := newSession(id, "ann")
		session.Generation = first
		begin(t, s, session)
		wantFound(t, s, session)
		for n := range uint64(3) {
			r := keyed(id, fmt.Sprint(n), fmt.Sprint(n+1), "key")
			r.Generation = first + n
			for range 2 {
				if got := wantRotated(t, s, r, r.To); got.Generation != first+n+1 {
					t.Errorf("generation %d, want %d", got.Generation, first+n+1)
				}
			}
			p := presentation(id, r.To)
			p.Generation = first + n + 1
			if got := wantPresented(t, s, p); got.Generation != first+n+1 {
				t.Errorf("generation %d, want %d", got.Generation, first+n+1)
			}
		}
	}
	session := newSession("a", "ann")
	session.Generation = 1 << 53
	if err := s.BeginSession(t.Context(), session); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a generation that is too high: %v, want ErrInvalid", err)
	}
}

// newer returns r with a higher generation than the store has.
func newer(r store.Rotation) store.Rotation {
	r.Generation = 5
	return r
}

// testSessionAdoption checks that a token of a higher generation than the
// session becomes the current one, and that using the one before is then a
// reuse.
func testSessionAdoption(t *testing.T, s store.Sessions) {
	for name, adopt := range map[string]func() store.Session{
		"present": func() store.Session {
			p := presentation("a", "lost")
			p.Generation = 5
			got := wantPresented(t, s, p)
			if got.Generation != 5 || got.Current != "lost" || got.Previous != "" || got.Key != (store.KeyHash{}) {
				t.Errorf("presented: %+v", got)
			}
			wantFound(t, s, got)
			if again := wantPresented(t, s, p); again != got {
				t.Errorf("presented again: %+v\nwant %+v", again, got)
			}
			return got
		},
		"rotate": func() store.Session {
			got := wantRotated(t, s, newer(keyed("a", "lost", "2", "new key")), "2")
			if got.Generation != 6 || got.Previous != "lost" || got.Key != store.HashKey("new key") {
				t.Errorf("rotated: %+v", got)
			}
			if again := wantRotated(t, s, newer(keyed("a", "lost", "3", "new key")), "2"); again != got {
				t.Errorf("rotated again: %+v\nwant %+v", again, got)
			}
			wantFound(t, s, got)
			return got
		},
		"both": func() store.Session {
			p := presentation("a", "lost")
			p.Generation = 5
			wantPresented(t, s, p)
			return wantRotated(t, s, newer(rotation("a", "lost", "2")), "2")
		},
	} {
		for _, old := range []string{"0", "1", "never"} {
			t.Log(name, old)
			begin(t, s, newSession("a", "ann"))
			wantRotated(t, s, keyed("a", "0", "1", "key"), "1")
			was := adopt()
			r := keyed("a", old, "x", "key")
			r.Grace = 365 * 24 * time.Hour
			wantReused(t, s, r, was)
		}
	}
}

// testSessionNotAdopted checks that an unknown token of the same generation, or
// of a lower one, is a reuse, as is one whose name or generation is invalid.
func testSessionNotAdopted(t *testing.T, s store.Sessions) {
	for _, generation := range []uint64{0, 1, 1 << 53} {
		begin(t, s, newSession("a", "ann"))
		was := wantRotated(t, s, rotation("a", "0", "1"), "1")
		p := presentation("a", "unknown")
		p.Generation = generation
		wantPresentReused(t, s, p, was)
		begin(t, s, newSession("a", "ann"))
		was = wantRotated(t, s, rotation("a", "0", "1"), "1")
		r := rotation("a", "unknown", "2")
		r.Generation = generation
		wantReused(t, s, r, was)
	}
	for _, token := range []string{"", strings.Repeat("x", 257)} {
		begin(t, s, newSession("a", "ann"))
		p := presentation("a", token)
		p.Generation = 5
		wantPresentReused(t, s, p, newSession("a", "ann"))
	}
}

// testSessionAdoptionParallel checks that 100 concurrent calls on three nodes,
// with a token that the store has lost, get the same successor.
func testSessionAdoptionParallel(t *testing.T, nodes []store.Sessions) {
	begin(t, nodes[0], newSession("a", "ann"))
	var currents sync.Map
	var wg sync.WaitGroup
	for call := range 100 {
		wg.Go(func() {
			got, err := nodes[call%len(nodes)].RotateSession(t.Context(), newer(rotation("a", "lost", fmt.Sprint("next-", call))))
			if err != nil || got.Generation != 6 || got.Previous != "lost" {
				t.Errorf("RotateSession: %+v, %v", got, err)
			}
			currents.Store(got.Current, true)
		})
	}
	wg.Wait()
	n := 0
	currents.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d tokens instead of one", n)
	}
}

// testSessionClock checks that rotations, their grace periods and the expiry of
// sessions follow the store's clock.
func testSessionClock(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"))
	before := now(t, s)
	was := wantRotated(t, s, rotation("a", "0", "1"), "1")
	wantBetween(t, "Rotated", was.Rotated, before, now(t, s))
	short := rotation("a", "0", "2")
	short.Grace = 20 * time.Millisecond
	passed(t, s, was.Rotated.Add(short.Grace))
	wantReused(t, s, short, was)

	session := newSession("b", "ann")
	session.Expires = now(t, s).Add(50 * time.Millisecond).Truncate(time.Millisecond)
	begin(t, s, session)
	passed(t, s, session.Expires)
	wantNotFound(t, s, "ann", "b")
	wantNoSession(t, s, session)
	begin(t, s, newSession("b", "ann"))

	ended := newSession("c", "ann")
	ended.Ends = now(t, s).Add(200 * time.Millisecond).Truncate(time.Millisecond).UTC()
	begin(t, s, ended)
	if got, err := s.RotateSession(t.Context(), rotation("c", "0", "1")); err == nil && got.Expires != ended.Ends {
		t.Errorf("expires %v, want %v", got.Expires, ended.Ends)
	}
	passed(t, s, ended.Ends)
	wantNotFound(t, s, "ann", "c")
}

// testGenerationRestart checks that generations and parents survive a restart.
func testGenerationRestart(t *testing.T, s store.Sessions, reopen func() store.Sessions) {
	host := newSession("host", "ann")
	host.Parent = "login"
	begin(t, s, newSession("a", "ann"), host)
	a := wantRotated(t, s, newer(rotation("a", "lost", "1")), "1")
	host = wantRotated(t, s, keyed("host", "0", "1", "key"), "1")
	s = reopen()
	wantFound(t, s, a)
	wantFound(t, s, host)
	if a.Generation != 6 || host.Generation != 1 || host.Parent != "login" {
		t.Errorf("%+v and %+v", a, host)
	}
	wantReused(t, s, rotation("a", "0", "2"), a)
}
