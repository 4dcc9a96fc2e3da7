package storetest

import (
	"errors"
	"testing"
	"time"

	"wsauth/store"
)

// Families tests an implementation of [store.Families].
func Families[S store.Families](t *testing.T, c Config[S]) {
	c.each(t, map[string]func(*testing.T, S){
		"begin":            func(t *testing.T, s S) { testFamilyBegin(t, s) },
		"canonical":        func(t *testing.T, s S) { testFamilyCanonical(t, s) },
		"invalid":          func(t *testing.T, s S) { testFamilyInvalid(t, s) },
		"expired":          func(t *testing.T, s S) { testFamilyExpired(t, s) },
		"rotation":         func(t *testing.T, s S) { testFamilyRotation(t, s) },
		"end":              func(t *testing.T, s S) { testFamilyEnd(t, s) },
		"cancellation":     func(t *testing.T, s S) { testFamilyCancellation(t, s) },
		"many":             func(t *testing.T, s S) { testFamilyMany(t, s) },
		"L7 reuse":         func(t *testing.T, s S) { testFamilyReuse(t, s) },
		"L7 no grace":      func(t *testing.T, s S) { testFamilyNoGrace(t, s) },
		"L7 parallel":      func(t *testing.T, s S) { testFamilyParallelReuse(t, familyNodes(c.nodes(t, s))) },
		"retry":            func(t *testing.T, s S) { testFamilyRetry(t, s) },
		"L7 retry":         func(t *testing.T, s S) { testFamilyRetryReuse(t, s) },
		"present":          func(t *testing.T, s S) { testFamilyPresent(t, s) },
		"present, grace":   func(t *testing.T, s S) { testFamilyPresentGrace(t, s) },
		"L8 grace":         func(t *testing.T, s S) { testFamilyGrace(t, s) },
		"L8 parallel":      func(t *testing.T, s S) { testFamilyParallel(t, familyNodes(c.nodes(t, s))) },
		"parallel begin":   func(t *testing.T, s S) { testFamilyParallelBegin(t, familyNodes(c.nodes(t, s))) },
		"parallel changes": func(t *testing.T, s S) { testFamilyParallelChanges(t, familyNodes(c.nodes(t, s))) },
	})
	if c.Run != nil {
		c.each(t, map[string]func(*testing.T, S){
			"expiry":               func(t *testing.T, s S) { testFamilyExpiry(t, s) },
			"expiry is seen":       func(t *testing.T, s S) { testFamilyExpiryIsSeen(t, s) },
			"L7 grace is up":       func(t *testing.T, s S) { testFamilyGraceIsUp(t, s) },
			"L7 retry is up":       func(t *testing.T, s S) { testFamilyRetryIsUp(t, s) },
			"present, grace is up": func(t *testing.T, s S) { testFamilyPresentGraceIsUp(t, s) },
		})
	}
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){
			"L7 restart": func(t *testing.T, s S) {
				testFamilyRestart(t, s, func() store.Families { return c.Reopen(t, s) })
			},
			"retry after a restart": func(t *testing.T, s S) {
				testFamilyRetryRestart(t, s, func() store.Families { return c.Reopen(t, s) })
			},
		})
	}
	if c.OpenSmall != nil {
		t.Run("full", func(t *testing.T) {
			c.run(t, func(t *testing.T) { testFamilyFull(t, c.OpenSmall(t)) })
		})
	}
}

func familyNodes[S store.Families](nodes [3]S) (all []store.Families) {
	for _, s := range nodes {
		all = append(all, s)
	}
	return all
}

// began is when most families of the suite began.
var began = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// family returns a family that never expires, with the refresh token "0".
func family(id, subject string) store.Family {
	return store.Family{ID: id, Subject: subject, Current: "0", Began: began, Rotated: began, Expires: expires, Ends: expires, Remote: "192.0.2.1", Agent: "suite"}
}

// rotation returns a rotation whose grace never ends.
func rotation(id, from, to string) store.Rotation {
	return store.Rotation{ID: id, From: from, To: to, Grace: 365 * 24 * time.Hour, Expires: expires, Remote: "2001:db8::1", Agent: "other"}
}

func begin(t *testing.T, s store.Families, families ...store.Family) {
	t.Helper()
	for _, f := range families {
		if err := s.BeginFamily(t.Context(), f); err != nil {
			t.Fatalf("BeginFamily %s: %v", f.ID, err)
		}
	}
}

// wantRotated rotates a family and asserts that current is the valid token
// afterwards.
func wantRotated(t *testing.T, s store.Families, r store.Rotation, current string) store.Family {
	t.Helper()
	f, err := s.RotateFamily(t.Context(), r)
	if err != nil || f.Current != current || f.ID != r.ID || f.Remote != r.Remote || f.Agent != r.Agent {
		t.Errorf("RotateFamily %s from %s to %s: %+v, %v, want Current %s", r.ID, r.From, r.To, f, err, current)
	}
	return f
}

// wantReused asserts that a rotation is a reuse, which ends the family.
func wantReused(t *testing.T, s store.Families, r store.Rotation, was store.Family) {
	t.Helper()
	if f, err := s.RotateFamily(t.Context(), r); !errors.Is(err, store.ErrReused) || f != was {
		t.Errorf("RotateFamily %s from %s: %+v, %v\nwant %+v, ErrReused", r.ID, r.From, f, err, was)
	}
	wantNoFamily(t, s, was)
}

// wantPresented asserts that a token is accepted.
func wantPresented(t *testing.T, s store.Families, p store.Presentation) store.Family {
	t.Helper()
	f, err := s.PresentFamily(t.Context(), p)
	if err != nil || f.ID != p.ID {
		t.Errorf("PresentFamily %s with %s: %+v, %v", p.ID, p.Token, f, err)
	}
	return f
}

// wantPresentReused asserts that a token is a reuse, which ends the family.
func wantPresentReused(t *testing.T, s store.Families, p store.Presentation, was store.Family) {
	t.Helper()
	if f, err := s.PresentFamily(t.Context(), p); !errors.Is(err, store.ErrReused) || f != was {
		t.Errorf("PresentFamily %s with %.10q: %+v, %v\nwant %+v, ErrReused", p.ID, p.Token, f, err, was)
	}
	wantNoFamily(t, s, was)
}

// wantNoPresentation asserts that the family of a token does not exist.
func wantNoPresentation(t *testing.T, s store.Families, p store.Presentation) {
	t.Helper()
	if f, err := s.PresentFamily(t.Context(), p); !errors.Is(err, store.ErrNotFound) || f != (store.Family{}) {
		t.Errorf("PresentFamily %.10q with %s: %+v, %v, want ErrNotFound", p.ID, p.Token, f, err)
	}
}

// wantNoFamily asserts that a family does not exist, not even for its last
// token.
func wantNoFamily(t *testing.T, s store.Families, was store.Family) {
	t.Helper()
	for _, from := range []string{was.Current, "other"} {
		wantNoPresentation(t, s, presentation(was.ID, from))
		if f, err := s.RotateFamily(t.Context(), rotation(was.ID, from, "next")); !errors.Is(err, store.ErrNotFound) || f != (store.Family{}) {
			t.Errorf("RotateFamily %s from %s: %+v, %v, want ErrNotFound", was.ID, from, f, err)
		}
	}
	all, err := s.ListFamilies(t.Context(), was.Subject)
	if err != nil {
		t.Errorf("ListFamilies: %v", err)
	}
	for _, f := range all {
		if f.ID == was.ID {
			t.Errorf("%s is still listed", f.ID)
		}
	}
}

// wantListed asserts which families a subject has.
func wantListed(t *testing.T, s store.Families, subject string, want ...store.Family) {
	t.Helper()
	got, err := s.ListFamilies(t.Context(), subject)
	if err != nil || len(got) != len(want) {
		t.Errorf("ListFamilies %s: %+v, %v\nwant %+v", subject, got, err, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("family %d is %+v\nwant %+v", i, got[i], want[i])
		}
	}
}
