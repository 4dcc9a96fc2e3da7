package bolt

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
)

// A forest is a file whose trees have at least two levels of branch pages.
type forest struct {
	image    []byte
	branches []branch
	leaves   []branch
	inline   []int // offsets of the pages of small buckets
	headers  []int // offsets of the values of the other buckets
}

// A branch is a branch page, with the pages on the path to it from the root.
type branch struct {
	number, count int
	above         []int
}

func (f *forest) page(number int) []byte { return f.image[number*testPage:][:testPage] }

// grow returns the contents of a file for a forest.
func grow(t *testing.T) []byte {
	t.Helper()
	path := newPath(t)
	s, err := Open(path, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s.db.bolt.NoSync = true
	now := time.Now()
	for round := range 3 {
		all := make([]store.Revocation, store.MaxPage)
		for i := range all {
			all[i] = store.Revocation{Target: store.TargetToken, ID: fmt.Sprintf("%04d-%d-%s", i, round, strings.Repeat("x", 200)), Expires: now.Add(time.Hour)}
		}
		if err := s.Revoke(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 40 {
		f := store.Session{ID: fmt.Sprint("session-", n), Subject: "user", Current: "0", Started: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour), Agent: strings.Repeat("agent", 50)}
		if err := s.BeginSession(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// readForest finds the trees of a file.
func readForest(t *testing.T, path string) *forest {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMetas(bytes.NewReader(image), int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	f := &forest{image: image}
	f.climb(int(m.root), nil)
	for _, l := range slices.Clone(f.leaves) { // of the tree of buckets
		page := f.page(l.number)
		all, err := elements(nil, page, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			at := cap(f.image) - cap(e.value)
			if root := native.Uint64(e.value); root != 0 {
				f.headers = append(f.headers, at)
				f.climb(int(root), nil)
			} else {
				f.inline = append(f.inline, at+bucketHead)
			}
		}
	}
	deepest := slices.MaxFunc(f.branches, func(a, b branch) int { return cmp.Compare(len(a.above), len(b.above)) })
	if len(deepest.above) == 0 || len(f.inline) == 0 || len(f.headers) < 3 {
		t.Fatalf("no forest: %d pages above %d, %d small buckets", len(deepest.above), deepest.number, len(f.inline))
	}
	return f
}

// climb records the pages of a tree.
func (f *forest) climb(number int, above []int) {
	page := f.page(number)
	b := branch{number, int(native.Uint16(page[10:])), slices.Clone(above)}
	if native.Uint16(page[8:]) == leafPage {
		f.leaves = append(f.leaves, b)
		return
	}
	f.branches = append(f.branches, b)
	for i := range b.count {
		f.climb(int(native.Uint64(page[pageHead+i*elementSize+8:])), append(above, number))
	}
}

// circles returns functions that overwrite pages so that they form a cycle, or
// refer to pages that do not exist.
func circles() map[string]func(r *rand.Rand, f *forest) {
	some := func(r *rand.Rand, all []branch) branch { return all[r.IntN(len(all))] }
	below := func(r *rand.Rand, all []branch) branch {
		for {
			if b := some(r, all); len(b.above) > 0 {
				return b
			}
		}
	}
	lead := func(page []byte, i, to int) { native.PutUint64(page[pageHead+i*elementSize+8:], uint64(to)) }
	// over overwrites a page with another one, but keeps its page number.
	over := func(f *forest, number, from int) {
		copy(f.page(number)[8:], f.page(from)[8:])
	}
	return map[string]func(r *rand.Rand, f *forest){
		"a child is the page itself": func(r *rand.Rand, f *forest) {
			b := some(r, f.branches)
			lead(f.page(b.number), r.IntN(b.count), b.number)
		},
		"all children are the page itself": func(r *rand.Rand, f *forest) {
			b := some(r, f.branches)
			for i := range b.count {
				lead(f.page(b.number), i, b.number)
			}
		},
		"a child is above": func(r *rand.Rand, f *forest) {
			b := below(r, f.branches)
			lead(f.page(b.number), r.IntN(b.count), b.above[r.IntN(len(b.above))])
		},
		"all children are above": func(r *rand.Rand, f *forest) {
			b := below(r, f.branches)
			for i := range b.count {
				lead(f.page(b.number), i, b.above[0])
			}
		},
		"one child, the page itself": func(r *rand.Rand, f *forest) {
			b := some(r, f.branches)
			native.PutUint16(f.page(b.number)[10:], 1)
			lead(f.page(b.number), 0, b.number)
		},
		"one child each, in a circle": func(r *rand.Rand, f *forest) {
			b := below(r, f.branches)
			for i, number := range append(slices.Clone(b.above), b.number) {
				native.PutUint16(f.page(number)[10:], 1)
				lead(f.page(number), 0, append(slices.Clone(b.above), b.number, b.above[0])[i+1])
			}
		},
		"a branch as one above": func(r *rand.Rand, f *forest) {
			b := below(r, f.branches)
			over(f, b.number, b.above[0])
		},
		"a leaf as one above": func(r *rand.Rand, f *forest) {
			b := below(r, f.leaves)
			over(f, b.number, b.above[r.IntN(len(b.above))])
		},
		"all leaves as the ones above": func(_ *rand.Rand, f *forest) {
			for _, b := range f.leaves {
				if len(b.above) > 0 {
					over(f, b.number, b.above[len(b.above)-1])
				}
			}
		},
		"children of a sibling": func(r *rand.Rand, f *forest) {
			b := below(r, f.branches)
			parent := f.page(b.above[len(b.above)-1])
			for i := range native.Uint16(parent[10:]) {
				sibling := native.Uint64(parent[pageHead+int(i)*elementSize+8:])
				lead(f.page(int(sibling)), 0, b.number)
			}
		},
		"a child that there is not": func(r *rand.Rand, f *forest) {
			b := some(r, f.branches)
			lead(f.page(b.number), r.IntN(b.count), []int{0, 1, 1 << 40, len(f.image) / testPage}[r.IntN(4)])
		},
		"a small bucket is a branch": func(r *rand.Rand, f *forest) {
			page := f.image[f.inline[r.IntN(len(f.inline))]:]
			native.PutUint16(page[8:], branchPage)
			native.PutUint16(page[10:], 1)
			lead(page, 0, 0)
		},
		"a bucket has another root": func(r *rand.Rand, f *forest) {
			root := f.leaves[0] // of the tree of buckets
			native.PutUint64(f.image[f.headers[r.IntN(len(f.headers))]:], uint64(append(root.above, root.number)[0]))
		},
		"two buckets have one root": func(_ *rand.Rand, f *forest) {
			copy(f.image[f.headers[0]:][:8], f.image[f.headers[1]:][:8])
		},
	}
}

// TestCircles checks that if pages of an open file are overwritten so that they
// form a cycle, every method of the store fails with a one-line error, and the
// process does not crash. No revoked token is valid again.
func TestCircles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testCircles) // so that the first sweep has ended
}

func testCircles(t *testing.T) {
	image := grow(t)
	kinds := circles()
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		found := 0
		for n := range (damagesOfAKind() + 2) / 3 {
			path := newPath(t)
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, store.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s.db.bolt.NoSync = true
			f := readForest(t, path)
			kinds[kind](rand.New(rand.NewPCG(uint64(n), 1)), f) //nolint:gosec // seeded, to be repeated
			overwrite(t, path, f.image)
			if useTrees(t, kind, n, s) {
				found++
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s %d: Close: %v", kind, n, err)
			}
			if _, err := Check(path); err == nil {
				t.Errorf("%s %d: not found by Check", kind, n)
			} else {
				sentence(t, kind, n, err)
			}
		}
		t.Logf("%-36s %4d found while it was open", kind, found)
		if found == 0 {
			t.Errorf("%s was never found while the file was open", kind)
		}
	}
}

// useTrees reads and changes all trees. It checks that errors are those of the
// contract or about the damage, and that after the first error about the
// damage, all calls return it.
func useTrees(t *testing.T, kind string, n int, s *Store) (failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	end := time.Now().Add(time.Hour)
	steps := []func() error{
		func() error {
			for cursor, full := (store.Cursor{}), true; full; {
				page, err := s.Read(ctx, cursor)
				if err != nil {
					return err
				}
				cursor, full = page.Next, len(page.Revocations) == store.MaxPage
			}
			return nil
		},
		func() error { _, err := s.ListSessions(ctx, "user"); return err },
		func() error { return s.EndSession(ctx, "user", fmt.Sprint("session-", n)) },
		func() error {
			_, err := s.RotateSession(ctx, store.Rotation{Subject: "user", ID: fmt.Sprint("session-", n+1), From: "0", To: "1", Expires: end})
			return err
		},
		func() error { return s.Revoke(ctx, inAMinute(fmt.Sprintf("%04d-live", n*77))) },
		func() error { return s.PutTicket(ctx, store.TicketKey{byte(n)}, make([]byte, 3000), end) },
		func() error { _, err := s.TakeTicket(ctx, store.TicketKey{byte(n)}); return err },
		// Delete many entries at once, so that pages are merged.
		func() error {
			return s.writer.update(func(tr *transaction) error { return tr.sweep(end.Add(time.Hour), end, 700) })
		},
		func() error {
			return s.Revoke(ctx, store.Revocation{Target: store.TargetAll, Before: time.Now().Add(-time.Hour), Expires: end})
		},
	}
	if n%2 == 0 { // change the file first
		slices.Reverse(steps)
	}
	for i, step := range append(steps, steps...) {
		failed = judge(t, fmt.Sprintf("%s %d: step %d", kind, n, i), step(), failed)
	}
	return failed
}
