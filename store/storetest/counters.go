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

// NodeCounters stores nodes and their counts.
type NodeCounters interface {
	store.Nodes
	store.Counters
}

// Counters tests an implementation of [store.Counters].
func Counters[S NodeCounters](t *testing.T, c Config[S]) {
	on := func(body func(*testing.T, *counters)) func(*testing.T, S) {
		return func(t *testing.T, s S) {
			all := &counters{oldest: now(t, s)}
			for i, node := range c.nodes(t, s) {
				all.nodes = append(all.nodes, node)
				keep(t, node, store.Node{ID: nodeID(i)})
			}
			body(t, all)
		}
	}
	c.each(t, map[string]func(*testing.T, S){
		"sums":          on(testSums),
		"oldest":        on(testOldest),
		"limit":         on(testLimit),
		"evict":         on(testEvict),
		"repeat":        on(testCountRepeated),
		"D14 leases":    on(testCountLeases),
		"D14 drop":      on(testCountDropped),
		"invalid":       on(testCountInvalid),
		"cancellation":  on(testCountCancellation),
		"R2 parallel":   on(testLimitParallel),
		"parallel keys": on(testCountsParallel),
	})
}

// counters is a store with three nodes.
type counters struct {
	nodes  []NodeCounters
	oldest time.Time // a time by the store's clock
}

func nodeID(i int) string { return fmt.Sprint("node-", i) }

// count returns a count of a node whose oldest item is i seconds younger than
// c.oldest.
func (c *counters) count(node int, key string, n, limit, i int) store.Count {
	return store.Count{Node: nodeID(node), Key: key, Subject: "ann", N: n, Limit: limit, Oldest: c.oldest.Add(time.Duration(i) * time.Second)}
}

// want sets a count and asserts the sum and the node with the oldest item, or
// -1 for none.
func (c *counters) want(t *testing.T, count store.Count, sum, oldest int) {
	t.Helper()
	c.wantError(t, count, nil, sum, oldest)
}

// wantError is like want, for a count that may be refused.
func (c *counters) wantError(t *testing.T, count store.Count, want error, sum, oldest int) {
	t.Helper()
	counts := store.Counts{Sum: sum}
	if oldest >= 0 {
		counts.OldestNode = nodeID(oldest)
	}
	for i, node := range c.nodes {
		if nodeID(i) != count.Node && i != 0 {
			continue
		}
		got, err := node.SetCount(t.Context(), count)
		if !errors.Is(err, want) || (err == nil) != (want == nil) || got != counts {
			t.Errorf("SetCount %+v: %+v, %v\nwant %+v, %v", count, got, err, counts, want)
		}
	}
}

// testSums checks that counts are the sums of all nodes, separately for each
// key.
func testSums(t *testing.T, c *counters) {
	long := strings.Repeat("\u00fc", 160)
	c.want(t, c.count(0, "a", 0, 0, 0), 0, -1)
	c.want(t, c.count(0, "a", 3, 0, 0), 3, 0)
	c.want(t, c.count(1, "a", 4, 0, 1), 7, 0)
	c.want(t, c.count(2, long, 1, 0, 0), 1, 2)
	c.want(t, c.count(2, "a", 1_000_000, 0, 2), 1_000_007, 0)
	c.want(t, c.count(1, "a\x00", 1, 0, 0), 1, 1)
	c.want(t, c.count(0, "a", 1, 0, 0), 1_000_005, 0)
	c.want(t, c.count(2, "a", 0, 0, 0), 5, 0)
	c.want(t, c.count(0, "a", 0, 0, 0), 4, 1)
	c.want(t, c.count(1, "a", 0, 0, 0), 0, -1)
	c.want(t, c.count(2, long, 2, 0, 0), 2, 2)
	plain := c.count(0, "plain", 2, 0, 0)
	plain.Subject = ""
	c.want(t, plain, 2, 0)
}

// testOldest checks that the node with the oldest item changes with the counts.
func testOldest(t *testing.T, c *counters) {
	c.want(t, c.count(0, "a", 1, 0, 5), 1, 0)
	c.want(t, c.count(1, "a", 1, 0, 4), 2, 1)
	c.want(t, c.count(2, "a", 1, 0, 6), 3, 1)
	c.want(t, c.count(1, "a", 1, 0, 7), 3, 0)
	c.want(t, c.count(2, "a", 1, 0, -7), 3, 2)
	c.want(t, c.count(2, "a", 0, 0, 0), 2, 0)
}

// testLimit checks that a count that grows beyond the limit is refused and
// changes nothing, and that any other is accepted.
func testLimit(t *testing.T, c *counters) {
	c.want(t, c.count(0, "a", 3, 5, 0), 3, 0)
	c.wantError(t, c.count(1, "a", 3, 5, -1), store.ErrFull, 3, 0)
	c.want(t, c.count(1, "a", 2, 5, 1), 5, 0)
	c.wantError(t, c.count(1, "a", 3, 5, 1), store.ErrFull, 5, 0)
	c.wantError(t, c.count(2, "a", 1, 5, -1), store.ErrFull, 5, 0)
	c.want(t, c.count(2, "b", 5, 5, 0), 5, 2)
	// Lower the limit.
	c.want(t, c.count(0, "a", 3, 2, 0), 5, 0)
	c.want(t, c.count(0, "a", 2, 2, 2), 4, 1)
	c.wantError(t, c.count(0, "a", 3, 2, 0), store.ErrFull, 4, 1)
	c.want(t, c.count(0, "a", 0, 2, 0), 2, 1)
	c.wantError(t, c.count(0, "a", 1, 2, 0), store.ErrFull, 2, 1)
	c.wantError(t, c.count(0, "never", 6, 5, 0), store.ErrFull, 0, -1)
	// Raise it.
	c.want(t, c.count(0, "a", 6, 8, 0), 8, 0)
	c.want(t, c.count(0, "a", 100, 0, 0), 102, 0)
}

// testEvict checks that a node that will end an item may exceed the limit, and
// learns which node has the oldest.
func testEvict(t *testing.T, c *counters) {
	c.want(t, c.count(0, "a", 1, 2, 0), 1, 0)
	c.want(t, c.count(1, "a", 1, 2, 1), 2, 0)
	more := c.count(2, "a", 1, 2, 2)
	c.wantError(t, more, store.ErrFull, 2, 0)
	more.Evict = true
	c.want(t, more, 3, 0)
	c.want(t, c.count(0, "a", 0, 2, 0), 2, 1)
}

// testCountRepeated checks that a repeated call has no further effect.
func testCountRepeated(t *testing.T, c *counters) {
	for range 3 {
		c.want(t, c.count(0, "a", 2, 3, 0), 2, 0)
	}
	for range 3 {
		c.wantError(t, c.count(1, "a", 2, 3, 0), store.ErrFull, 2, 0)
	}
	for range 3 {
		c.want(t, c.count(1, "a", 1, 3, 1), 3, 0)
	}
	for range 3 {
		c.want(t, c.count(0, "a", 0, 3, 0), 1, 1)
	}
}

// testCountLeases checks that the counts of a node whose lease has ended are
// not part of the sum, and that an extended lease keeps them.
func testCountLeases(t *testing.T, c *counters) {
	c.want(t, c.count(0, "a", 1, 6, 1), 1, 0)
	for round := range 3 {
		short := keep(t, c.nodes[1], store.Node{ID: fmt.Sprint("short-", round)}, 20*time.Second)
		count := c.count(0, "a", 5, 6, 0)
		count.Node = short.ID
		got, err := c.nodes[1].SetCount(t.Context(), count)
		if want := (store.Counts{Sum: 6, OldestNode: short.ID}); err != nil || got != want {
			t.Errorf("SetCount: %+v, %v, want %+v", got, err, want)
		}
		short = keep(t, c.nodes[2], short, 50*time.Millisecond)
		passed(t, c.nodes[0], short.Until)
		c.want(t, c.count(0, "a", 1, 6, 1), 1, 0)
		c.want(t, c.count(2, "a", 5, 6, 0), 6, 2)
		c.want(t, c.count(2, "a", 0, 6, 0), 1, 0)
		if got, err := c.nodes[1].SetCount(t.Context(), count); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("SetCount after the lease: %+v, %v, want ErrNotFound", got, err)
		}
	}
}

// testCountDropped checks that the counts of a dropped node are not part of the
// sum.
func testCountDropped(t *testing.T, c *counters) {
	c.want(t, c.count(0, "a", 5, 6, 0), 5, 0)
	c.want(t, c.count(1, "a", 1, 6, 1), 6, 0)
	if err := c.nodes[2].DropNode(t.Context(), nodeID(0)); err != nil {
		t.Fatal(err)
	}
	c.want(t, c.count(1, "a", 6, 6, 1), 6, 1)
	if got, err := c.nodes[0].SetCount(t.Context(), c.count(0, "a", 0, 0, 0)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("SetCount of a dropped node: %+v, %v, want ErrNotFound", got, err)
	}
	c.wantError(t, c.count(2, "a", 1, 6, 0), store.ErrFull, 6, 1)
}

// testCountInvalid checks that invalid counts, and those of nodes without a
// lease, are refused.
func testCountInvalid(t *testing.T, c *counters) {
	never := c.count(0, "a", 1, 0, 0)
	never.Node = "never"
	if got, err := c.nodes[0].SetCount(t.Context(), never); !errors.Is(err, store.ErrNotFound) || got != (store.Counts{}) {
		t.Errorf("SetCount of a node without a lease: %+v, %v, want ErrNotFound", got, err)
	}
	for name, change := range map[string]func(*store.Count){
		"no Node":        func(c *store.Count) { c.Node = "" },
		"long Node":      func(c *store.Count) { c.Node = strings.Repeat("n", 65) },
		"no Key":         func(c *store.Count) { c.Key = "" },
		"long Key":       func(c *store.Count) { c.Key = strings.Repeat("k", 321) },
		"long Subject":   func(c *store.Count) { c.Subject = strings.Repeat("s", 257) },
		"negative N":     func(c *store.Count) { c.N = -1 },
		"negative Limit": func(c *store.Count) { c.Limit = -1 },
		"no Oldest":      func(c *store.Count) { c.Oldest = time.Time{} },
	} {
		count := c.count(0, "a", 1, 0, 0)
		change(&count)
		if _, err := c.nodes[0].SetCount(t.Context(), count); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	none := c.count(0, "a", 0, 0, 0)
	none.Oldest = time.Time{}
	c.want(t, none, 0, -1)
}

func testCountCancellation(t *testing.T, c *counters) {
	for range 100 {
		if _, err := c.nodes[0].SetCount(canceled(t), c.count(0, "a", 1, 0, 0)); !errors.Is(err, context.Canceled) {
			t.Fatalf("SetCount: %v", err)
		}
	}
	c.want(t, c.count(1, "a", 1, 0, 0), 1, 1)
}

// testLimitParallel checks that three nodes that raise and lower their counts
// at the same time reach the limit together, but never exceed it.
func testLimitParallel(t *testing.T, c *counters) {
	const limit, steps = 20, 200
	var wg sync.WaitGroup
	final := make([]int, 3)
	for node := range c.nodes {
		wg.Go(func() {
			n := 0
			for step := range steps {
				next := n + 1
				if step%5 == 4 && n > 0 {
					next = n - 1
				}
				got, err := c.nodes[node].SetCount(t.Context(), c.count(node, "a", next, limit, node))
				switch {
				case got.Sum > limit:
					t.Errorf("%d of %d", got.Sum, limit)
				case err == nil:
					n = next
				case !errors.Is(err, store.ErrFull) || got.Sum != limit || next < n:
					t.Errorf("SetCount of %d after %d: %+v, %v", next, n, got, err)
				}
			}
			final[node] = n
		})
	}
	wg.Wait()
	sum := final[0] + final[1] + final[2]
	got, err := c.nodes[0].SetCount(t.Context(), c.count(0, "a", final[0], limit, 0))
	if err != nil || got.Sum != sum || sum > limit {
		t.Errorf("%v, and the store has %+v, %v", final, got, err)
	}
	for ; sum < limit; sum++ {
		final[0]++
		if _, err := c.nodes[0].SetCount(t.Context(), c.count(0, "a", final[0], limit, 0)); err != nil {
			t.Errorf("SetCount with %d of %d: %v", sum, limit, err)
		}
	}
	c.wantError(t, c.count(1, "a", final[1]+1, limit, 0), store.ErrFull, limit, oldestOf(final))
}

// oldestOf returns the first node that has items.
func oldestOf(counts []int) int {
	for node, n := range counts {
		if n > 0 {
			return node
		}
	}
	return -1
}

// testCountsParallel checks that of 100 nodes that claim the only item of a
// key, one succeeds, and that keys do not affect each other.
func testCountsParallel(t *testing.T, c *counters) {
	const keys, calls = 5, 100
	for i := range calls {
		keep(t, c.nodes[i%3], store.Node{ID: fmt.Sprint("call-", i)})
	}
	var mu sync.Mutex
	winners := map[string]int{}
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			for k := range keys {
				count := c.count(0, fmt.Sprint((k+i)%keys), 1, 1, i)
				count.Node = fmt.Sprint("call-", i)
				got, err := c.nodes[i%3].SetCount(t.Context(), count)
				if got.Sum != 1 || err != nil && !errors.Is(err, store.ErrFull) {
					t.Errorf("SetCount: %+v, %v", got, err)
				}
				if err == nil {
					mu.Lock()
					winners[count.Key]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for key, n := range winners {
		if n != 1 {
			t.Errorf("%d winners of %s", n, key)
		}
	}
	if len(winners) != keys {
		t.Errorf("winners of %d keys", len(winners))
	}
}
