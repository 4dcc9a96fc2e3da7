package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"wsauth/store"
)

func testWait(t *testing.T, log store.Revocations) {
	revoke(t, log, revokeToken("a"))
	if err := log.Wait(t.Context(), store.Cursor{}); err != nil {
		t.Errorf("Wait before an existing entry: %v", err)
	}
	next := wantAfter(t, log, store.Cursor{}, revokeToken("a"))

	var readers []<-chan error
	for range 3 {
		readers = append(readers, waiting(t.Context(), log, next))
	}
	revoke(t, log, revokeToken("a")) // changes nothing
	revoke(t, log, revokeToken("b"))
	for _, reader := range readers {
		if err := <-reader; err != nil {
			t.Errorf("Wait: %v", err)
		}
	}
	wantAfter(t, log, next, revokeToken("b"))
}

// testCancellation checks that each method returns the error of a done context,
// and that Revoke then changes nothing.
func testCancellation(t *testing.T, log store.Revocations) {
	revoke(t, log, revokeToken("a"))
	next := wantAfter(t, log, store.Cursor{}, revokeToken("a"))

	ctx, cancel := context.WithCancel(t.Context())
	reader := waiting(ctx, log, next)
	cancel()
	if err := <-reader; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait, canceled while waiting: %v", err)
	}
	if err := log.Wait(ctx, next); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := log.Read(ctx, next); !errors.Is(err, context.Canceled) {
		t.Errorf("Read: %v", err)
	}
	for i := range 100 {
		if err := log.Revoke(ctx, revokeToken(fmt.Sprint(i))); !errors.Is(err, context.Canceled) {
			t.Fatalf("Revoke: %v", err)
		}
	}
	wantAfter(t, log, next)
}

// testConcurrency runs many writers, some of which are canceled, and many
// readers. Each reader must see all acknowledged revocations. It must see each
// group as a whole, and the groups of each writer in order.
func testConcurrency(t *testing.T, log store.Revocations) {
	const writers, groups, size = 8, 25, 3
	group := func(writer, n int) []store.Revocation {
		return tokens(fmt.Sprintf("%d-%d", writer, n), size)
	}
	var wg sync.WaitGroup
	acknowledged := make([][groups]bool, writers)
	for writer := range writers {
		wg.Go(func() {
			for n := range groups {
				ctx, cancel := context.WithCancel(t.Context())
				if n%3 == 0 {
					go cancel()
				}
				err := log.Revoke(ctx, group(writer, n)...)
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Revoke: %v", err)
				}
				acknowledged[writer][n] = err == nil
			}
		})
	}
	last := revokeToken("last")
	seen := make([]map[string]int, 4) // order in which each reader saw the IDs
	var readers sync.WaitGroup
	for reader := range seen {
		seen[reader] = map[string]int{}
		readers.Go(func() { seen[reader] = follow(t, log, last.ID) })
	}
	wg.Wait()
	// Canceled writes may still be in progress; the last revocation follows
	// them.
	revoke(t, log, last)
	readers.Wait()

	for reader, seen := range seen {
		for writer := range writers {
			before := -1
			for n := range groups {
				found := 0
				for _, r := range group(writer, n) {
					if at, ok := seen[r.ID]; ok {
						found++
						if at < before {
							t.Errorf("reader %d: %s came out of order", reader, r.ID)
						}
						before = at
					}
				}
				if found != size && (acknowledged[writer][n] || found != 0) {
					t.Errorf("reader %d: %d of %d of a group, acknowledged: %v", reader, found, size, acknowledged[writer][n])
				}
			}
		}
	}
}

// follow reads the log as it grows, until it contains the given ID. It returns
// the position of each ID, and fails if one is repeated.
func follow(t *testing.T, log store.Revocations, until string) map[string]int {
	seen := map[string]int{}
	var cursor store.Cursor
	for {
		page, err := log.Read(t.Context(), cursor)
		if err != nil {
			t.Errorf("Read: %v", err)
			return seen
		}
		for _, r := range page.Revocations {
			if _, ok := seen[r.ID]; ok {
				t.Errorf("%s came twice", r.ID)
			}
			seen[r.ID] = len(seen)
			if r.ID == until {
				return seen
			}
		}
		cursor = page.Next
		if err := log.Wait(t.Context(), cursor); err != nil {
			t.Errorf("Wait: %v", err)
			return seen
		}
	}
}

// testRestart checks that a reopened log is complete and that cursors remain
// valid.
func testRestart(t *testing.T, log store.Revocations, reopen func() store.Revocations) {
	revoke(t, log, revokeToken("a"))
	next := wantAfter(t, log, store.Cursor{}, revokeToken("a"))
	revoke(t, log, revokeToken("b"))

	log = reopen()
	wantAfter(t, log, store.Cursor{}, revokeToken("a"), revokeToken("b"))
	next = wantAfter(t, log, next, revokeToken("b"))
	revoke(t, log, revokeToken("a"))
	wantAfter(t, log, next)
	revoke(t, log, revokeToken("c"))
	wantAfter(t, log, next, revokeToken("c"))
}
