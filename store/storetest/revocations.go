package storetest

import (
	"context"
	"testing"
	"time"

	"wsauth/store"
)

// Config says how the suite gets at a log of revocations.
type Config struct {
	// Open opens an empty log that holds at least 3,000 revocations, and has
	// it closed at the end of the test. Required.
	Open func(t *testing.T) store.Revocations

	// Reopen closes a log of Open and opens it again, as after a restart.
	// Nil: the log does not outlive its process, and that is not tested.
	Reopen func(t *testing.T, log store.Revocations) store.Revocations

	// Run runs the body of a test. Where it is [testing/synctest.Test], the
	// suite also tests what happens as time passes; a log whose time is not
	// that of the test leaves it nil.
	Run func(t *testing.T, body func(*testing.T))
}

// Revocations tests that a log keeps the contract of [store.Revocations].
func Revocations(t *testing.T, c Config) {
	run := c.Run
	if run == nil {
		run = func(t *testing.T, body func(*testing.T)) { body(t) }
	}
	for name, body := range map[string]func(*testing.T, store.Revocations){
		"empty":        testEmpty,
		"order":        testOrder,
		"idempotence":  testIdempotence,
		"canonical":    testCanonical,
		"invalid":      testInvalid,
		"gone":         testGone,
		"paging":       testPaging,
		"cursors":      testCursors,
		"wait":         testWait,
		"cancellation": testCancellation,
		"concurrency":  testConcurrency,
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) { body(t, c.Open(t)) })
		})
	}
	t.Run("another log", func(t *testing.T) {
		run(t, func(t *testing.T) { testAnotherLog(t, c.Open(t), c.Open(t)) })
	})
	if c.Run != nil {
		t.Run("expiry", func(t *testing.T) {
			run(t, func(t *testing.T) { testExpiry(t, c.Open(t)) })
		})
	}
	if c.Reopen != nil {
		t.Run("restart", func(t *testing.T) {
			run(t, func(t *testing.T) { testRestart(t, c.Open(t), c.Reopen) })
		})
	}
}

// expires is when most revocations of the suite expire, a moment that is always
// the same and never reached.
var expires = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// revokeToken is a revocation of one token.
func revokeToken(id string) store.Revocation {
	return store.Revocation{Scope: store.Token, ID: id, Expires: expires}
}

func revoke(t *testing.T, log store.Revocations, revocations ...store.Revocation) {
	t.Helper()
	if err := log.Revoke(t.Context(), revocations...); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}

// readAll returns what came after a cursor, page by page, and the place after
// it.
func readAll(t *testing.T, log store.Revocations, after store.Cursor) ([]store.Revocation, store.Cursor) {
	t.Helper()
	var all []store.Revocation
	for {
		page, err := log.Read(t.Context(), after)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if len(page.Revocations) > store.MaxPage {
			t.Fatalf("a page of %d revocations", len(page.Revocations))
		}
		all = append(all, page.Revocations...)
		after = page.Next
		if len(page.Revocations) < store.MaxPage {
			return all, after
		}
	}
}

// wantAfter asserts what came after a cursor, and returns the place after it.
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

// waiting calls Wait in the background and returns where its result comes.
func waiting(ctx context.Context, log store.Revocations, after store.Cursor) <-chan error {
	result := make(chan error, 1)
	go func() { result <- log.Wait(ctx, after) }()
	return result
}
