package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"wsauth/store"
)

// Clock tests an implementation of [store.Clock].
func Clock[S store.Clock](t *testing.T, c Config[S]) {
	c.each(t, map[string]func(*testing.T, S){
		"order": func(t *testing.T, s S) {
			nodes := c.nodes(t, s)
			last := now(t, s)
			for n := range 100 {
				next := now(t, nodes[n%3])
				if next.Before(last) {
					t.Fatalf("%v after %v", next, last)
				}
				last = next
			}
		},
		"progress": func(t *testing.T, s S) {
			first, started := now(t, s), time.Now()
			passed(t, s, first.Add(20*time.Millisecond))
			if took := time.Since(started); took > time.Minute {
				t.Errorf("20 ms took %v", took)
			}
		},
		"cancellation": func(t *testing.T, s S) {
			if _, err := s.Now(canceled(t)); !errors.Is(err, context.Canceled) {
				t.Errorf("Now: %v", err)
			}
		},
	})
}

// canceled returns a context that has been canceled.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// now returns the time of the store's clock, or of this machine if s is not a
// [store.Clock].
func now(t *testing.T, s any) time.Time {
	t.Helper()
	clock, ok := s.(store.Clock)
	if !ok {
		return time.Now()
	}
	now, err := clock.Now(t.Context())
	if err != nil {
		t.Fatalf("Now: %v", err)
	}
	return now
}

// passed waits until a moment has passed on the store's clock. If the moment is
// near, it may have passed before the call: a test must not assert what holds
// only until then.
func passed(t *testing.T, s any, moment time.Time) {
	t.Helper()
	for {
		left := moment.Sub(now(t, s))
		if left < 0 {
			return
		}
		time.Sleep(left + time.Millisecond)
	}
}

// wantBetween asserts that a time of the store's clock lies between two others.
// Stores may round times to milliseconds.
func wantBetween(t *testing.T, what string, got, from, to time.Time) {
	t.Helper()
	if got.Before(from.Truncate(time.Millisecond)) || got.After(to.Add(time.Millisecond)) {
		t.Errorf("%s is %v, want one from %v to %v", what, got, from, to)
	}
}
