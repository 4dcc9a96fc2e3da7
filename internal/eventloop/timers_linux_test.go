package eventloop

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTimers checks that after any calls of set and remove, the first timer is
// the earliest, and setting a timer again only moves it to an earlier time.
func TestTimers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	all := make([]Timer, 50)
	due := make(map[*Timer]time.Duration)
	var h timers
	for range 10_000 {
		timer := &all[rnd.IntN(len(all))]
		if rnd.IntN(3) == 0 {
			h.remove(timer)
			delete(due, timer)
		} else {
			at := time.Duration(rnd.IntN(1000))
			if rnd.IntN(10) == 0 {
				at = never
			}
			h.set(timer, at)
			if before, ok := due[timer]; at != never && (!ok || at < before) {
				due[timer] = at
			}
		}
		want := never
		for _, at := range due {
			want = min(want, at)
		}
		if got := h.next(); got != want || len(h) != len(due) {
			t.Fatalf("%d timers, the first is due at %v; want %d, %v", len(h), got, len(due), want)
		}
	}
	var order []time.Duration
	for len(h) > 0 {
		order = append(order, h.next())
		h.remove(h[0])
	}
	for i, kept := range h[:cap(h)] {
		if kept != nil {
			t.Errorf("place %d still holds a timer that was removed", i)
		}
	}
	if !slices.IsSorted(order) {
		t.Errorf("due in this order: %v, want it sorted", order)
	}
	for i := range all {
		if all[i].IsSet() {
			t.Errorf("timer %d is set, but not in the heap", i)
		}
	}
}
