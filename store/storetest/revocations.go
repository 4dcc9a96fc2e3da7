package storetest

import (
	"context"
	"testing"
	"time"

	"wsauth/store"
)

// Revocations tests an implementation of [store.Revocations].
func Revocations[S store.Revocations](t *testing.T, c Config[S]) {
	on := func(body func(*testing.T, store.Revocations)) func(*testing.T, S) {
		return func(t *testing.T, s S) { body(t, onAll(c.nodes(t, s))) }
	}
	c.each(t, map[string]func(*testing.T, S){
		"empty":        on(testEmpty),
		"order":        on(testOrder),
		"idempotence":  on(testIdempotence),
		"generations":  on(testOlder),
		"canonical":    on(testCanonical),
		"invalid":      on(testInvalid),
		"covered":      on(testCovered),
		"obsolete":     on(testObsolete),
		"soon":         on(testSoonObsolete),
		"paging":       on(testPaging),
		"cursors":      on(testCursors),
		"wait":         on(testWait),
		"cancellation": on(testCancellation),
		"concurrency":  on(testConcurrency),
		"another log":  func(t *testing.T, one S) { testAnotherLog(t, one, c.Open(t)) },
	})
	if c.OpenSmall != nil {
		t.Run("full", func(t *testing.T) {
			c.run(t, func(t *testing.T) { testFull(t, c.OpenSmall(t)) })
		})
	}
	if c.Run != nil {
		c.each(t, map[string]func(*testing.T, S){"expiry": on(testExpiry)})
	}
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){"restart": func(t *testing.T, s S) {
			testRestart(t, s, func() store.Revocations { return c.Reopen(t, s) })
		}})
	}
}

// expires is the expiry of most revocations of the suite, a time that is never
// reached.
var expires = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// revokeToken returns a revocation of one token.
func revokeToken(id string) store.Revocation {
	return store.Revocation{Target: store.TargetToken, ID: id, Expires: expires}
}

func revoke(t *testing.T, log store.Revocations, revocations ...store.Revocation) {
	t.Helper()
	if err := log.Revoke(t.Context(), revocations...); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}

// readPages reads all pages after a cursor.
func readPages(t *testing.T, log store.Revocations, after store.Cursor) []store.Page {
	t.Helper()
	var all []store.Page
	for {
		page, err := log.Read(t.Context(), after)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if n := len(page.Revocations) + len(page.Events); n > store.MaxPage {
			t.Fatalf("a page of %d entries", n)
		}
		all = append(all, page)
		if after = page.Next; page.End {
			return all
		}
	}
}

// readAll reads all revocations after a cursor, and returns them and the
// position after them.
func readAll(t *testing.T, log store.Revocations, after store.Cursor) ([]store.Revocation, store.Cursor) {
	t.Helper()
	pages := readPages(t, log, after)
	var all []store.Revocation
	for _, page := range pages {
		all = append(all, page.Revocations...)
	}
	return all, pages[len(pages)-1].Next
}

// wantAfter asserts which revocations the log has after a cursor, and returns
// the position after them.
func wantAfter(t *testing.T, log store.Revocations, after store.Cursor, want ...store.Revocation) store.Cursor {
	t.Helper()
	got, next := readAll(t, log, after)
	if len(got) != len(want) {
		t.Fatalf("read %v\nwant %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("revocation %d is %v\nwant %v", i, got[i], want[i])
		}
	}
	return next
}

// waiting calls Wait in the background and returns a channel for its result.
func waiting(ctx context.Context, log store.Revocations, after store.Cursor) <-chan error {
	result := make(chan error, 1)
	go func() { result <- log.Wait(ctx, after) }()
	return result
}
