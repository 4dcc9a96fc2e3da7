package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/store"
)

// testSessionBegin checks that sessions are listed by subject, oldest first,
// without those of subjects with similar names.
func testSessionBegin(t *testing.T, s store.Sessions) {
	wantListed(t, s, "ann")
	a, b, c := newSession("b", "ann"), newSession("a", "ann"), newSession("c", "ann")
	b.Started = started.Add(time.Second)
	c.Started = started.Add(-time.Second)
	longest := newSession(strings.Repeat("i", 256), strings.Repeat("\u00fc", 128))
	longest.Current = strings.Repeat("c", 256)
	others := []store.Session{newSession("d", "an"), newSession("e", "annn"), newSession("f", "ann\x00"), newSession("g", "ANN"), longest}
	begin(t, s, others...)
	begin(t, s, a, b, c)
	wantListed(t, s, "ann", c, a, b)
	for _, session := range others {
		wantListed(t, s, session.Subject, session)
	}
	wantListed(t, s, "")
	wantListed(t, s, "bob")
}

func testSessionCanonical(t *testing.T, s store.Sessions) {
	zone := time.FixedZone("", 3600)
	begin(t, s, store.Session{
		ID: "a", Subject: "ann", Current: "0",
		Started: time.Date(2020, 1, 2, 3, 4, 5, 6_999_999, zone),
		Expires: time.Date(2200, 1, 2, 3, 4, 5, 8_000_000, zone),
		Ends:    time.Date(2200, 1, 2, 3, 4, 5, 7_999_999, zone),
		Remote:  strings.Repeat("r", 1000),
		Agent:   strings.Repeat("a", 255) + "\u00fc",
	})
	moment := time.Date(2020, 1, 2, 2, 4, 5, 6_000_000, time.UTC)
	end := time.Date(2200, 1, 2, 2, 4, 5, 7_000_000, time.UTC)
	want := store.Session{
		ID: "a", Subject: "ann", Current: "0", Started: moment, Rotated: moment, Expires: end, Ends: end,
		Remote: strings.Repeat("r", 256), Agent: strings.Repeat("a", 255),
	}
	wantListed(t, s, "ann", want)
}

// testSessionInvalid checks that invalid values are refused and change nothing.
func testSessionInvalid(t *testing.T, s store.Sessions) {
	long := strings.Repeat("x", 257)
	for name, change := range map[string]func(*store.Session){
		"no ID":            func(session *store.Session) { session.ID = "" },
		"long ID":          func(session *store.Session) { session.ID = long },
		"no Subject":       func(session *store.Session) { session.Subject = "" },
		"long Subject":     func(session *store.Session) { session.Subject = long },
		"no Current":       func(session *store.Session) { session.Current = "" },
		"long Current":     func(session *store.Session) { session.Current = long },
		"long Parent":      func(session *store.Session) { session.Parent = long },
		"long Previous":    func(session *store.Session) { session.Previous = long },
		"no Started":       func(session *store.Session) { session.Started, session.Rotated = time.Time{}, time.Time{} },
		"no Expires":       func(session *store.Session) { session.Expires = time.Time{} },
		"no Ends":          func(session *store.Session) { session.Ends = time.Time{} },
		"after all tokens": func(session *store.Session) { session.Ends = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		session := newSession("a", "ann")
		change(&session)
		if err := s.BeginSession(t.Context(), session); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	wantListed(t, s, "ann")

	session := newSession("a", "ann")
	begin(t, s, session)
	again := newSession("a", "ann")
	again.Current = "again"
	if err := s.BeginSession(t.Context(), again); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an ID that is taken: %v, want ErrInvalid", err)
	}
	for name, change := range map[string]func(*store.Rotation){
		"no ID":      func(r *store.Rotation) { r.ID = "" },
		"no From":    func(r *store.Rotation) { r.From = "" },
		"no To":      func(r *store.Rotation) { r.To = "" },
		"long To":    func(r *store.Rotation) { r.To = long },
		"same To":    func(r *store.Rotation) { r.To = r.From },
		"no Expires": func(r *store.Rotation) { r.Expires = time.Time{} },
	} {
		r := rotation("a", "0", "1")
		change(&r)
		if got, err := s.RotateSession(t.Context(), r); !errors.Is(err, store.ErrInvalid) || got != (store.Session{}) {
			t.Errorf("%s: %+v, %v, want ErrInvalid", name, got, err)
		}
	}
	wantListed(t, s, "ann", session)
}

// testSessionExpired checks that beginning an expired session is not an error,
// and stores nothing.
func testSessionExpired(t *testing.T, s store.Sessions) {
	session := newSession("a", "ann")
	session.Expires = time.Now().Add(-time.Second)
	begin(t, s, session, session)
	wantNoSession(t, s, session)
	session = newSession("a", "ann")
	session.Ends = time.Now().Add(-time.Second)
	begin(t, s, session)
	wantNoSession(t, s, session)
}

func testSessionEnd(t *testing.T, s store.Sessions) {
	session, other := newSession("a", "ann"), newSession("b", "ann")
	begin(t, s, session, other)
	for range 2 {
		if err := s.EndSession(t.Context(), "ann", "a"); err != nil {
			t.Errorf("EndSession: %v", err)
		}
		wantNoSession(t, s, session)
	}
	for _, id := range []string{"", "never", strings.Repeat("x", 10_000)} {
		if err := s.EndSession(t.Context(), "ann", id); err != nil {
			t.Errorf("EndSession %.10q: %v", id, err)
		}
	}
	wantListed(t, s, "ann", other)
	session.Subject = "bob"
	begin(t, s, session)
	wantListed(t, s, "ann", other)
	wantListed(t, s, "bob", session)
}

func testSessionCancellation(t *testing.T, s store.Sessions) {
	session := newSession("a", "ann")
	begin(t, s, session)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		_, rotate := s.RotateSession(ctx, rotation("a", "0", "1"))
		_, reuse := s.RotateSession(ctx, rotation("a", "other", "1"))
		_, list := s.ListSessions(ctx, "ann")
		_, present := s.PresentSession(ctx, presentation("a", "other"))
		_, find := s.FindSession(ctx, "ann", "a")
		for name, err := range map[string]error{
			"BeginSession": s.BeginSession(ctx, newSession("b", "ann")), "RotateSession": rotate, "RotateSession, reused": reuse, "PresentSession": present,
			"EndSession": s.EndSession(ctx, "ann", "a"), "ListSessions": list, "FindSession": find,
		} {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	wantListed(t, s, "ann", session)
}

// testSessionMany checks that the number of sessions per subject is limited,
// and that reaching the limit does not affect other subjects.
func testSessionMany(t *testing.T, s store.Sessions) {
	var wg sync.WaitGroup
	for n := range store.MaxSubjectSessions {
		wg.Go(func() {
			if err := s.BeginSession(t.Context(), newSession(fmt.Sprint(n), "ann")); err != nil {
				t.Errorf("BeginSession %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if all, err := s.ListSessions(t.Context(), "ann"); err != nil || len(all) != store.MaxSubjectSessions {
		t.Errorf("%d sessions are listed, %v", len(all), err)
	}
	if err := s.BeginSession(t.Context(), newSession("more", "ann")); !errors.Is(err, store.ErrFull) {
		t.Errorf("one too many: %v, want ErrFull", err)
	}
	begin(t, s, newSession("more", "bob"))
	if err := s.EndSession(t.Context(), "ann", "17"); err != nil {
		t.Error(err)
	}
	begin(t, s, newSession("17", "ann"))
}

// testSessionExpiry checks that a session lives until its refresh token
// expires. Each rotation extends this, but never beyond the end of the session.
func testSessionExpiry(t *testing.T, s store.Sessions) {
	start := time.Now().Truncate(time.Millisecond).UTC()
	session := newSession("a", "ann")
	session.Started, session.Rotated, session.Expires, session.Ends = start, start, start.Add(time.Hour), start.Add(150*time.Minute)
	short := session
	short.ID = "short"
	begin(t, s, session, short)

	time.Sleep(time.Hour - time.Millisecond)
	r := rotation("a", "0", "1")
	r.Expires = start.Add(2 * time.Hour)
	got := wantRotated(t, s, r, "1")
	wantListed(t, s, "ann", got, short)
	time.Sleep(time.Millisecond)
	wantListed(t, s, "ann", got)
	wantNoSession(t, s, short)
	begin(t, s, newSession("short", "bob"))

	time.Sleep(time.Hour - time.Millisecond)
	r = rotation("a", "1", "2")
	r.Expires = start.Add(3 * time.Hour)
	if got = wantRotated(t, s, r, "2"); !got.Expires.Equal(session.Ends) {
		t.Errorf("expires %v, want %v", got.Expires, session.Ends)
	}
	time.Sleep(time.Until(session.Ends) - time.Millisecond)
	wantListed(t, s, "ann", got)
	time.Sleep(time.Millisecond)
	wantListed(t, s, "ann")
	wantNoSession(t, s, got)
}

// testSessionExpiryIsSeen checks that each method detects the expiry of a
// session when it is the first one called.
func testSessionExpiryIsSeen(t *testing.T, s store.Sessions) {
	for name, first := range map[string]func(session store.Session) error{
		"RotateSession": func(session store.Session) error {
			_, err := s.RotateSession(t.Context(), rotation(session.ID, session.Current, "next"))
			return err
		},
		"PresentSession": func(session store.Session) error {
			_, err := s.PresentSession(t.Context(), presentation(session.ID, session.Current))
			return err
		},
		"FindSession": func(session store.Session) error {
			_, err := s.FindSession(t.Context(), session.Subject, session.ID)
			return err
		},
		"ListSessions": func(session store.Session) error {
			all, err := s.ListSessions(t.Context(), session.Subject)
			if err == nil && len(all) == 0 {
				return store.ErrNotFound
			}
			return err
		},
	} {
		session := newSession("a", "ann")
		session.Expires = time.Now().Add(time.Hour).Truncate(time.Millisecond)
		begin(t, s, session)
		time.Sleep(time.Until(session.Expires))
		if err := first(session); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of a session that has expired: %v, want ErrNotFound", name, err)
		}
	}
}

// testSessionRestart checks that after a restart, replaced tokens and ended
// sessions are not valid again.
func testSessionRestart(t *testing.T, s store.Sessions, reopen func() store.Sessions) {
	ended, reused := newSession("ended", "ann"), newSession("reused", "ann")
	begin(t, s, newSession("a", "ann"), ended, reused)
	session := wantRotated(t, s, rotation("a", "0", "1"), "1")
	if err := s.EndSession(t.Context(), "ann", "ended"); err != nil {
		t.Error(err)
	}
	wantReused(t, s, rotation("reused", "stolen", "1"), reused)

	s = reopen()
	wantListed(t, s, "ann", session)
	wantNoSession(t, s, ended)
	wantNoSession(t, s, reused)
	session = wantRotated(t, s, rotation("a", "0", "2"), "1")
	presented := wantRotated(t, s, rotation("a", "1", "2"), "2")
	if presented.Previous != session.Current {
		t.Errorf("Previous is %s", presented.Previous)
	}
	wantReused(t, s, rotation("a", "0", "3"), presented)
}

func testSessionFull(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"), newSession("b", "bob"), newSession("c", "cid"))
	if err := s.BeginSession(t.Context(), newSession("d", "dan")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full: %v, want ErrFull", err)
	}
	wantListed(t, s, "dan")
	if err := s.EndSession(t.Context(), "ann", "a"); err != nil {
		t.Error(err)
	}
	begin(t, s, newSession("d", "dan"))
	wantReused(t, s, ofSubject("bob", rotation("b", "stolen", "1")), newSession("b", "bob"))
	begin(t, s, newSession("b", "bob"))
	if err := s.BeginSession(t.Context(), newSession("e", "eve")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full again: %v, want ErrFull", err)
	}
	wantRotated(t, s, ofSubject("cid", rotation("c", "0", "1")), "1")
}
