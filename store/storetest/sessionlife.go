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

// testSessionBegin tests that sessions are listed by subject, oldest first,
// without those of subjects with similar names.
func testSessionBegin(t *testing.T, s store.Sessions) {
	wantListed(t, s, "ann")
	a, b, c := session("b", "ann"), session("a", "ann"), session("c", "ann")
	b.Began = began.Add(time.Second)
	c.Began = began.Add(-time.Second)
	longest := session(strings.Repeat("i", 256), strings.Repeat("\u00fc", 128))
	longest.Current = strings.Repeat("c", 256)
	others := []store.Session{session("d", "an"), session("e", "annn"), session("f", "ann\x00"), session("g", "ANN"), longest}
	begin(t, s, others...)
	begin(t, s, a, b, c)
	wantListed(t, s, "ann", c, a, b)
	for _, f := range others {
		wantListed(t, s, f.Subject, f)
	}
	wantListed(t, s, "")
	wantListed(t, s, "bob")
}

func testSessionCanonical(t *testing.T, s store.Sessions) {
	zone := time.FixedZone("", 3600)
	begin(t, s, store.Session{
		ID: "a", Subject: "ann", Current: "0",
		Began:   time.Date(2020, 1, 2, 3, 4, 5, 6_999_999, zone),
		Expires: time.Date(2200, 1, 2, 3, 4, 5, 8_000_000, zone),
		Ends:    time.Date(2200, 1, 2, 3, 4, 5, 7_999_999, zone),
		Remote:  strings.Repeat("r", 1000),
		Agent:   strings.Repeat("a", 255) + "\u00fc",
	})
	moment := time.Date(2020, 1, 2, 2, 4, 5, 6_000_000, time.UTC)
	end := time.Date(2200, 1, 2, 2, 4, 5, 7_000_000, time.UTC)
	want := store.Session{
		ID: "a", Subject: "ann", Current: "0", Began: moment, Rotated: moment, Expires: end, Ends: end,
		Remote: strings.Repeat("r", 256), Agent: strings.Repeat("a", 255),
	}
	wantListed(t, s, "ann", want)
}

// testSessionInvalid tests that refused values change nothing.
func testSessionInvalid(t *testing.T, s store.Sessions) {
	long := strings.Repeat("x", 257)
	for name, change := range map[string]func(*store.Session){
		"no ID":            func(f *store.Session) { f.ID = "" },
		"long ID":          func(f *store.Session) { f.ID = long },
		"no Subject":       func(f *store.Session) { f.Subject = "" },
		"long Subject":     func(f *store.Session) { f.Subject = long },
		"no Current":       func(f *store.Session) { f.Current = "" },
		"long Current":     func(f *store.Session) { f.Current = long },
		"long Previous":    func(f *store.Session) { f.Previous = long },
		"no Began":         func(f *store.Session) { f.Began, f.Rotated = time.Time{}, time.Time{} },
		"no Expires":       func(f *store.Session) { f.Expires = time.Time{} },
		"no Ends":          func(f *store.Session) { f.Ends = time.Time{} },
		"after all tokens": func(f *store.Session) { f.Ends = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		f := session("a", "ann")
		change(&f)
		if err := s.BeginSession(t.Context(), f); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	wantListed(t, s, "ann")

	f := session("a", "ann")
	begin(t, s, f)
	again := session("a", "bob")
	if err := s.BeginSession(t.Context(), again); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("an ID that is taken: %v, want ErrInvalid", err)
	}
	wantListed(t, s, "bob")
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
	wantListed(t, s, "ann", f)
}

// testSessionExpired tests that beginning an expired session is not an error,
// and stores nothing.
func testSessionExpired(t *testing.T, s store.Sessions) {
	f := session("a", "ann")
	f.Expires = time.Now().Add(-time.Second)
	begin(t, s, f, f)
	wantNoSession(t, s, f)
	f = session("a", "ann")
	f.Ends = time.Now().Add(-time.Second)
	begin(t, s, f)
	wantNoSession(t, s, f)
}

func testSessionEnd(t *testing.T, s store.Sessions) {
	f, other := session("a", "ann"), session("b", "ann")
	begin(t, s, f, other)
	for range 2 {
		if err := s.EndSession(t.Context(), "a"); err != nil {
			t.Errorf("EndSession: %v", err)
		}
		wantNoSession(t, s, f)
	}
	for _, id := range []string{"", "never", strings.Repeat("x", 10_000)} {
		if err := s.EndSession(t.Context(), id); err != nil {
			t.Errorf("EndSession %.10q: %v", id, err)
		}
	}
	wantListed(t, s, "ann", other)
	f.Subject = "bob"
	begin(t, s, f)
	wantListed(t, s, "ann", other)
	wantListed(t, s, "bob", f)
}

func testSessionCancellation(t *testing.T, s store.Sessions) {
	f := session("a", "ann")
	begin(t, s, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		_, rotate := s.RotateSession(ctx, rotation("a", "0", "1"))
		_, reuse := s.RotateSession(ctx, rotation("a", "other", "1"))
		_, list := s.ListSessions(ctx, "ann")
		_, present := s.PresentSession(ctx, presentation("a", "other"))
		for name, err := range map[string]error{
			"BeginSession": s.BeginSession(ctx, session("b", "ann")), "RotateSession": rotate, "RotateSession, reused": reuse, "PresentSession": present,
			"EndSession": s.EndSession(ctx, "a"), "ListSessions": list,
		} {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	wantListed(t, s, "ann", f)
}

// testSessionMany tests the limit of sessions per subject, which does not
// affect other subjects.
func testSessionMany(t *testing.T, s store.Sessions) {
	var wg sync.WaitGroup
	for n := range store.MaxSubjectSessions {
		wg.Go(func() {
			if err := s.BeginSession(t.Context(), session(fmt.Sprint(n), "ann")); err != nil {
				t.Errorf("BeginSession %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if all, err := s.ListSessions(t.Context(), "ann"); err != nil || len(all) != store.MaxSubjectSessions {
		t.Errorf("%d sessions are listed, %v", len(all), err)
	}
	if err := s.BeginSession(t.Context(), session("more", "ann")); !errors.Is(err, store.ErrFull) {
		t.Errorf("one too many: %v, want ErrFull", err)
	}
	begin(t, s, session("more", "bob"))
	if err := s.EndSession(t.Context(), "17"); err != nil {
		t.Error(err)
	}
	begin(t, s, session("17", "ann"))
}

// testSessionExpiry tests that a session lives until its refresh token
// expires, that each rotation extends this, but never beyond the end of the
// session.
func testSessionExpiry(t *testing.T, s store.Sessions) {
	start := time.Now().Truncate(time.Millisecond).UTC()
	f := session("a", "ann")
	f.Began, f.Rotated, f.Expires, f.Ends = start, start, start.Add(time.Hour), start.Add(150*time.Minute)
	short := f
	short.ID = "short"
	begin(t, s, f, short)

	time.Sleep(time.Hour - time.Millisecond)
	r := rotation("a", "0", "1")
	r.Expires = start.Add(2 * time.Hour)
	got := wantRotated(t, s, r, "1")
	wantListed(t, s, "ann", got, short)
	time.Sleep(time.Millisecond)
	wantListed(t, s, "ann", got)
	wantNoSession(t, s, short)
	begin(t, s, session("short", "bob"))

	time.Sleep(time.Hour - time.Millisecond)
	r = rotation("a", "1", "2")
	r.Expires = start.Add(3 * time.Hour)
	if got = wantRotated(t, s, r, "2"); !got.Expires.Equal(f.Ends) {
		t.Errorf("expires %v, want %v", got.Expires, f.Ends)
	}
	time.Sleep(time.Until(f.Ends) - time.Millisecond)
	wantListed(t, s, "ann", got)
	time.Sleep(time.Millisecond)
	wantListed(t, s, "ann")
	wantNoSession(t, s, got)
}

// testSessionExpiryIsSeen tests that each method notices the expiry of a
// session when called first.
func testSessionExpiryIsSeen(t *testing.T, s store.Sessions) {
	for name, first := range map[string]func(f store.Session) error{
		"RotateSession": func(f store.Session) error {
			_, err := s.RotateSession(t.Context(), rotation(f.ID, f.Current, "next"))
			return err
		},
		"PresentSession": func(f store.Session) error {
			_, err := s.PresentSession(t.Context(), presentation(f.ID, f.Current))
			return err
		},
		"ListSessions": func(f store.Session) error {
			all, err := s.ListSessions(t.Context(), f.Subject)
			if err == nil && len(all) == 0 {
				return store.ErrNotFound
			}
			return err
		},
	} {
		f := session("a", "ann")
		f.Expires = time.Now().Add(time.Hour).Truncate(time.Millisecond)
		begin(t, s, f)
		time.Sleep(time.Until(f.Expires))
		if err := first(f); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of a session that has expired: %v, want ErrNotFound", name, err)
		}
	}
}

// testSessionRestart tests that after a restart, replaced tokens are still
// replaced and ended sessions have still ended.
func testSessionRestart(t *testing.T, s store.Sessions, reopen func() store.Sessions) {
	ended, reused := session("ended", "ann"), session("reused", "ann")
	begin(t, s, session("a", "ann"), ended, reused)
	f := wantRotated(t, s, rotation("a", "0", "1"), "1")
	if err := s.EndSession(t.Context(), "ended"); err != nil {
		t.Error(err)
	}
	wantReused(t, s, rotation("reused", "stolen", "1"), reused)

	s = reopen()
	wantListed(t, s, "ann", f)
	wantNoSession(t, s, ended)
	wantNoSession(t, s, reused)
	f = wantRotated(t, s, rotation("a", "0", "2"), "1")
	f2 := wantRotated(t, s, rotation("a", "1", "2"), "2")
	if f2.Previous != f.Current {
		t.Errorf("Previous is %s", f2.Previous)
	}
	wantReused(t, s, rotation("a", "0", "3"), f2)
}

func testSessionFull(t *testing.T, s store.Sessions) {
	begin(t, s, session("a", "ann"), session("b", "bob"), session("c", "cid"))
	if err := s.BeginSession(t.Context(), session("d", "dan")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full: %v, want ErrFull", err)
	}
	wantListed(t, s, "dan")
	if err := s.EndSession(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	begin(t, s, session("d", "dan"))
	wantReused(t, s, rotation("b", "stolen", "1"), session("b", "bob"))
	begin(t, s, session("b", "bob"))
	if err := s.BeginSession(t.Context(), session("e", "eve")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full again: %v, want ErrFull", err)
	}
	wantRotated(t, s, rotation("c", "0", "1"), "1")
}
