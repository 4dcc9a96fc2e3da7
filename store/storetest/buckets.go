package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
)

// Buckets tests an implementation of [store.Buckets].
func Buckets[S store.Buckets](t *testing.T, c Config[S]) {
	on := func(body func(*testing.T, []store.Buckets)) func(*testing.T, S) {
		return func(t *testing.T, s S) {
			var nodes []store.Buckets
			for _, node := range c.nodes(t, s) {
				nodes = append(nodes, node)
			}
			body(t, nodes)
		}
	}
	c.each(t, map[string]func(*testing.T, S){
		"burst":        on(testBurst),
		"refill":       on(testRefill),
		"wait":         on(testBucketWait),
		"R3 parallel":  on(testTakeParallel),
		"rate":         on(testBucketRate),
		"invalid":      on(testBucketInvalid),
		"cancellation": on(testBucketCancellation),
	})
}

// take takes a token from a bucket that gets no new one during the test, and
// reports whether there was one.
func take(t *testing.T, s store.Buckets, key string, burst int) bool {
	t.Helper()
	wait, err := s.Take(t.Context(), key, time.Hour, burst)
	if err != nil || wait != 0 && (wait < 59*time.Minute || wait > time.Hour+time.Millisecond) {
		t.Errorf("Take from %.40s: %v, %v", key, wait, err)
	}
	return wait == 0
}

// wantTokens asserts how many tokens a bucket has, by taking them.
func wantTokens(t *testing.T, nodes []store.Buckets, key string, burst, want int) {
	t.Helper()
	got := 0
	for range burst + 3 {
		if take(t, nodes[got%3], key, burst) {
			got++
		}
	}
	if got != want {
		t.Errorf("%s had %d of %d tokens, want %d", key, got, burst, want)
	}
}

// testBurst checks that a bucket is full at first and independent of others.
func testBurst(t *testing.T, nodes []store.Buckets) {
	wantTokens(t, nodes, "a", 3, 3)
	wantTokens(t, nodes, "a", 3, 0)
	wantTokens(t, nodes, "b", 1, 1)
	wantTokens(t, nodes, "a\x00", 5, 5)
	wantTokens(t, nodes, strings.Repeat("\u00fc", 160), 100, 100)
}

// testRefill checks that Refill makes a bucket full, but does not exceed the
// burst.
func testRefill(t *testing.T, nodes []store.Buckets) {
	for _, key := range []string{"a", "never", ""} {
		if err := nodes[1].Refill(t.Context(), key); err != nil {
			t.Errorf("Refill %q: %v", key, err)
		}
	}
	wantTokens(t, nodes, "a", 3, 3)
	wantTokens(t, nodes, "b", 3, 3)
	for range 2 {
		for range 2 {
			if err := nodes[2].Refill(t.Context(), "a"); err != nil {
				t.Errorf("Refill: %v", err)
			}
		}
		wantTokens(t, nodes, "a", 3, 3)
	}
	wantTokens(t, nodes, "b", 3, 0)
}

// testBucketWait checks that an empty bucket has a token after the time that
// Take returned, and not earlier.
func testBucketWait(t *testing.T, nodes []store.Buckets) {
	const interval = 50 * time.Millisecond
	for round := range 5 {
		var wait time.Duration
		var before, after time.Time
		for i := 0; wait == 0; i++ {
			before = now(t, nodes[0])
			var err error
			if wait, err = nodes[i%3].Take(t.Context(), "a", interval, 3); err != nil {
				t.Fatalf("Take: %v", err)
			}
			after = now(t, nodes[0])
		}
		if wait < 0 || wait > interval+time.Millisecond {
			t.Fatalf("round %d: a wait of %v", round, wait)
		}
		for i := 0; ; i++ {
			asked := now(t, nodes[0])
			again, err := nodes[i%3].Take(t.Context(), "a", interval, 3)
			if err != nil {
				t.Fatalf("Take: %v", err)
			}
			if again == 0 {
				break
			}
			if again > wait+time.Millisecond || asked.Sub(after) > wait+2*time.Millisecond {
				t.Fatalf("round %d: a wait of %v, and after %v one of %v", round, wait, asked.Sub(after), again)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if took := now(t, nodes[0]).Sub(before); took < wait-2*time.Millisecond {
			t.Errorf("round %d: a token after %v, want %v", round, took, wait)
		}
	}
}

// testTakeParallel checks that of 100 calls on three nodes for ten tokens, ten
// get one.
func testTakeParallel(t *testing.T, nodes []store.Buckets) {
	for _, key := range []string{"a", "b", "c"} {
		var taken atomic.Int64
		var wg sync.WaitGroup
		for call := range 100 {
			wg.Go(func() {
				if take(t, nodes[call%3], key, 10) {
					taken.Add(1)
				}
			})
		}
		wg.Wait()
		if n := taken.Load(); n != 10 {
			t.Errorf("%d of 10 tokens were taken", n)
		}
	}
}

// testBucketRate checks that callers on three nodes get no more tokens than the
// burst and one every interval.
func testBucketRate(t *testing.T, nodes []store.Buckets) {
	const interval, burst = 20 * time.Millisecond, 5
	started := now(t, nodes[0])
	var taken atomic.Int64
	var wg sync.WaitGroup
	for _, s := range nodes {
		wg.Go(func() {
			for taken.Load() < 3*burst {
				wait, err := s.Take(t.Context(), "a", interval, burst)
				if err != nil {
					t.Errorf("Take: %v", err)
					return
				}
				if wait == 0 {
					taken.Add(1)
				}
				time.Sleep(min(wait, interval))
			}
		})
	}
	wg.Wait()
	took := now(t, nodes[0]).Sub(started)
	if most := burst + int64((took+2*time.Millisecond)/interval); taken.Load() > most {
		t.Errorf("%d tokens in %v, want at most %d", taken.Load(), took, most)
	}
}

func testBucketInvalid(t *testing.T, nodes []store.Buckets) {
	for name, tt := range map[string]struct {
		key      string
		interval time.Duration
		burst    int
	}{
		"no key":      {"", time.Second, 1},
		"long key":    {strings.Repeat("k", 321), time.Second, 1},
		"no interval": {"a", 0, 1},
		"short":       {"a", time.Millisecond - 1, 1},
		"no burst":    {"a", time.Second, 0},
		"slow":        {"a", 30 * 24 * time.Hour, 2},
		"overflow":    {"a", time.Hour, 1<<31 - 1},
	} {
		if _, err := nodes[0].Take(t.Context(), tt.key, tt.interval, tt.burst); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	wantTokens(t, nodes, "a", 3, 3)
}

func testBucketCancellation(t *testing.T, nodes []store.Buckets) {
	for range 100 {
		if _, err := nodes[0].Take(canceled(t), "a", time.Hour, 3); !errors.Is(err, context.Canceled) {
			t.Fatalf("Take: %v", err)
		}
	}
	wantTokens(t, nodes, "a", 3, 3)
	for range 100 {
		if err := nodes[0].Refill(canceled(t), "a"); !errors.Is(err, context.Canceled) {
			t.Fatalf("Refill: %v", err)
		}
	}
	wantTokens(t, nodes, "a", 3, 0)
}
