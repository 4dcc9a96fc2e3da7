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

// testFamilyBegin tests that families are listed by subject, oldest first,
// without those of subjects with similar names.
func testFamilyBegin(t *testing.T, s store.Families) {
	wantListed(t, s, "ann")
	a, b, c := family("b", "ann"), family("a", "ann"), family("c", "ann")
	b.Began = began.Add(time.Second)
	c.Began = began.Add(-time.Second)
	longest := family(strings.Repeat("i", 256), strings.Repeat("\u00fc", 128))
	longest.Current = strings.Repeat("c", 256)
	others := []store.Family{family("d", "an"), family("e", "annn"), family("f", "ann\x00"), family("g", "ANN"), longest}
	begin(t, s, others...)
	begin(t, s, a, b, c)
	wantListed(t, s, "ann", c, a, b)
	for _, f := range others {
		wantListed(t, s, f.Subject, f)
	}
	wantListed(t, s, "")
	wantListed(t, s, "bob")
}

func testFamilyCanonical(t *testing.T, s store.Families) {
	zone := time.FixedZone("", 3600)
	begin(t, s, store.Family{
		ID: "a", Subject: "ann", Current: "0",
		Began:   time.Date(2020, 1, 2, 3, 4, 5, 6_999_999, zone),
		Expires: time.Date(2200, 1, 2, 3, 4, 5, 8_000_000, zone),
		Ends:    time.Date(2200, 1, 2, 3, 4, 5, 7_999_999, zone),
		Remote:  strings.Repeat("r", 1000),
		Agent:   strings.Repeat("a", 255) + "\u00fc",
	})
	moment := time.Date(2020, 1, 2, 2, 4, 5, 6_000_000, time.UTC)
	end := time.Date(2200, 1, 2, 2, 4, 5, 7_000_000, time.UTC)
	want := store.Family{
		ID: "a", Subject: "ann", Current: "0", Began: moment, Rotated: moment, Expires: end, Ends: end,
		Remote: strings.Repeat("r", 256), Agent: strings.Repeat("a", 255),
	}
	wantListed(t, s, "ann", want)
}

// testFamilyInvalid tests that refused values change nothing.
func testFamilyInvalid(t *testing.T, s store.Families) {
	long := strings.Repeat("x", 257)
	for name, change := range map[string]func(*store.Family){
		"no ID":            func(f *store.Family) { f.ID = "" },
		"long ID":          func(f *store.Family) { f.ID = long },
		"no Subject":       func(f *store.Family) { f.Subject = "" },
		"long Subject":     func(f *store.Family) { f.Subject = long },
		"no Current":       func(f *store.Family) { f.Current = "" },
		"long Current":     func(f *store.Family) { f.Current = long },
		"long Previous":    func(f *store.Family) { f.Previous = long },
		"no Began":         func(f *store.Family) { f.Began, f.Rotated = time.Time{}, time.Time{} },
		"no Expires":       func(f *store.Family) { f.Expires = time.Time{} },
		"no Ends":          func(f *store.Family) { f.Ends = time.Time{} },
		"after all tokens": func(f *store.Family) { f.Ends = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		f := family("a", "ann")
		change(&f)
		if err := s.BeginFamily(t.Context(), f); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	wantListed(t, s, "ann")

	f := family("a", "ann")
	begin(t, s, f)
	again := family("a", "bob")
	if err := s.BeginFamily(t.Context(), again); !errors.Is(err, store.ErrInvalid) {
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
		if got, err := s.RotateFamily(t.Context(), r); !errors.Is(err, store.ErrInvalid) || got != (store.Family{}) {
			t.Errorf("%s: %+v, %v, want ErrInvalid", name, got, err)
		}
	}
	wantListed(t, s, "ann", f)
}

// testFamilyExpired tests that beginning an expired family is not an error,
// and stores nothing.
func testFamilyExpired(t *testing.T, s store.Families) {
	f := family("a", "ann")
	f.Expires = time.Now().Add(-time.Second)
	begin(t, s, f, f)
	wantNoFamily(t, s, f)
	f = family("a", "ann")
	f.Ends = time.Now().Add(-time.Second)
	begin(t, s, f)
	wantNoFamily(t, s, f)
}

func testFamilyEnd(t *testing.T, s store.Families) {
	f, other := family("a", "ann"), family("b", "ann")
	begin(t, s, f, other)
	for range 2 {
		if err := s.EndFamily(t.Context(), "a"); err != nil {
			t.Errorf("EndFamily: %v", err)
		}
		wantNoFamily(t, s, f)
	}
	for _, id := range []string{"", "never", strings.Repeat("x", 10_000)} {
		if err := s.EndFamily(t.Context(), id); err != nil {
			t.Errorf("EndFamily %.10q: %v", id, err)
		}
	}
	wantListed(t, s, "ann", other)
	f.Subject = "bob"
	begin(t, s, f)
	wantListed(t, s, "ann", other)
	wantListed(t, s, "bob", f)
}

func testFamilyCancellation(t *testing.T, s store.Families) {
	f := family("a", "ann")
	begin(t, s, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		_, rotate := s.RotateFamily(ctx, rotation("a", "0", "1"))
		_, reuse := s.RotateFamily(ctx, rotation("a", "other", "1"))
		_, list := s.ListFamilies(ctx, "ann")
		_, present := s.PresentFamily(ctx, presentation("a", "other"))
		for name, err := range map[string]error{
			"BeginFamily": s.BeginFamily(ctx, family("b", "ann")), "RotateFamily": rotate, "RotateFamily, reused": reuse, "PresentFamily": present,
			"EndFamily": s.EndFamily(ctx, "a"), "ListFamilies": list,
		} {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	wantListed(t, s, "ann", f)
}

// testFamilyMany tests the limit of families per subject, which does not
// affect other subjects.
func testFamilyMany(t *testing.T, s store.Families) {
	var wg sync.WaitGroup
	for n := range store.MaxFamilies {
		wg.Go(func() {
			if err := s.BeginFamily(t.Context(), family(fmt.Sprint(n), "ann")); err != nil {
				t.Errorf("BeginFamily %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if all, err := s.ListFamilies(t.Context(), "ann"); err != nil || len(all) != store.MaxFamilies {
		t.Errorf("%d families are listed, %v", len(all), err)
	}
	if err := s.BeginFamily(t.Context(), family("more", "ann")); !errors.Is(err, store.ErrFull) {
		t.Errorf("one too many: %v, want ErrFull", err)
	}
	begin(t, s, family("more", "bob"))
	if err := s.EndFamily(t.Context(), "17"); err != nil {
		t.Error(err)
	}
	begin(t, s, family("17", "ann"))
}

// testFamilyExpiry tests that a family lives until its refresh token expires,
// that each rotation extends this, but never beyond the end of the family.
func testFamilyExpiry(t *testing.T, s store.Families) {
	start := time.Now().Truncate(time.Millisecond).UTC()
	f := family("a", "ann")
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
	wantNoFamily(t, s, short)
	begin(t, s, family("short", "bob"))

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
	wantNoFamily(t, s, got)
}

// testFamilyExpiryIsSeen tests that each method notices the expiry of a family
// when called first.
func testFamilyExpiryIsSeen(t *testing.T, s store.Families) {
	for name, first := range map[string]func(f store.Family) error{
		"RotateFamily": func(f store.Family) error {
			_, err := s.RotateFamily(t.Context(), rotation(f.ID, f.Current, "next"))
			return err
		},
		"PresentFamily": func(f store.Family) error {
			_, err := s.PresentFamily(t.Context(), presentation(f.ID, f.Current))
			return err
		},
		"ListFamilies": func(f store.Family) error {
			all, err := s.ListFamilies(t.Context(), f.Subject)
			if err == nil && len(all) == 0 {
				return store.ErrNotFound
			}
			return err
		},
	} {
		f := family("a", "ann")
		f.Expires = time.Now().Add(time.Hour).Truncate(time.Millisecond)
		begin(t, s, f)
		time.Sleep(time.Until(f.Expires))
		if err := first(f); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of a family that has expired: %v, want ErrNotFound", name, err)
		}
	}
}

// testFamilyRestart tests that after a restart, replaced tokens are still
// replaced and ended families have still ended.
func testFamilyRestart(t *testing.T, s store.Families, reopen func() store.Families) {
	ended, reused := family("ended", "ann"), family("reused", "ann")
	begin(t, s, family("a", "ann"), ended, reused)
	f := wantRotated(t, s, rotation("a", "0", "1"), "1")
	if err := s.EndFamily(t.Context(), "ended"); err != nil {
		t.Error(err)
	}
	wantReused(t, s, rotation("reused", "stolen", "1"), reused)

	s = reopen()
	wantListed(t, s, "ann", f)
	wantNoFamily(t, s, ended)
	wantNoFamily(t, s, reused)
	f = wantRotated(t, s, rotation("a", "0", "2"), "1")
	f2 := wantRotated(t, s, rotation("a", "1", "2"), "2")
	if f2.Previous != f.Current {
		t.Errorf("Previous is %s", f2.Previous)
	}
	wantReused(t, s, rotation("a", "0", "3"), f2)
}

func testFamilyFull(t *testing.T, s store.Families) {
	begin(t, s, family("a", "ann"), family("b", "bob"), family("c", "cid"))
	if err := s.BeginFamily(t.Context(), family("d", "dan")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full: %v, want ErrFull", err)
	}
	wantListed(t, s, "dan")
	if err := s.EndFamily(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	begin(t, s, family("d", "dan"))
	wantReused(t, s, rotation("b", "stolen", "1"), family("b", "bob"))
	begin(t, s, family("b", "bob"))
	if err := s.BeginFamily(t.Context(), family("e", "eve")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full again: %v, want ErrFull", err)
	}
	wantRotated(t, s, rotation("c", "0", "1"), "1")
}
