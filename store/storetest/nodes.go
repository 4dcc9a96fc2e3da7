package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/store"
)

// Nodes tests an implementation of [store.Nodes].
func Nodes[S store.Nodes](t *testing.T, c Config[S]) {
	on := func(body func(*testing.T, []store.Nodes)) func(*testing.T, S) {
		return func(t *testing.T, s S) {
			var nodes []store.Nodes
			for _, node := range c.nodes(t, s) {
				nodes = append(nodes, node)
			}
			body(t, nodes)
		}
	}
	c.each(t, map[string]func(*testing.T, S){
		"keep":         on(testKeepNode),
		"drop":         on(testDropNode),
		"leases":       on(testLeases),
		"D7 return":    on(testReturn),
		"invalid":      on(testNodeInvalid),
		"cancellation": on(testNodeCancellation),
		"concurrency":  on(testNodeConcurrency),
	})
}

// keep keeps a node for an hour, or another ttl, and returns it.
func keep(t *testing.T, s store.Nodes, n store.Node, ttl ...time.Duration) store.Node {
	t.Helper()
	ttl = append(ttl, time.Hour)
	got, err := s.KeepNode(t.Context(), n, ttl[0])
	if err != nil || got.ID != n.ID || !bytes.Equal(got.Data, n.Data) {
		t.Fatalf("KeepNode %s: %+v, %v", n.ID, got, err)
	}
	return got
}

// wantNodes asserts that each node of the store lists the wanted nodes in the
// same order.
func wantNodes(t *testing.T, nodes []store.Nodes, want ...store.Node) {
	t.Helper()
	for _, s := range nodes {
		got, err := s.ListNodes(t.Context())
		if err != nil || !slices.EqualFunc(got, want, sameNode) {
			t.Errorf("ListNodes: %+v, %v\nwant %+v", got, err, want)
		}
	}
}

// sameNode reports whether two nodes are equal.
func sameNode(a, b store.Node) bool {
	return a.ID == b.ID && bytes.Equal(a.Data, b.Data) && a.Started.Equal(b.Started) && a.Until.Equal(b.Until)
}

// testKeepNode checks that nodes are listed in the order of their start, that
// another call extends the lease and replaces the data, and that times are from
// the store's clock.
func testKeepNode(t *testing.T, nodes []store.Nodes) {
	wantNodes(t, nodes)
	data := []byte("first")
	before := now(t, nodes[0])
	b := keep(t, nodes[0], store.Node{ID: "b", Data: data, Until: expires})
	copy(data, "other")
	b.Data = []byte("first")
	after := now(t, nodes[0])
	wantBetween(t, "Started", b.Started, before, after)
	wantBetween(t, "Until", b.Until, before.Add(time.Hour), after.Add(time.Hour))
	wantNodes(t, nodes, b)

	passed(t, nodes[0], b.Started.Add(2*time.Millisecond))
	a := keep(t, nodes[1], store.Node{ID: "a", Data: bytes.Repeat([]byte{0xff}, 4<<10)})
	longest := keep(t, nodes[2], store.Node{ID: "c" + strings.Repeat("\u00fc", 31) + "\x00"})
	wantNodes(t, nodes, b, a, longest)

	before = now(t, nodes[0])
	again := b
	again.Data = []byte("second")
	again = keep(t, nodes[1], again, time.Minute)
	if !again.Started.Equal(b.Started) {
		t.Errorf("started %v, and then %v", b.Started, again.Started)
	}
	wantBetween(t, "Until", again.Until, before.Add(time.Minute), now(t, nodes[0]).Add(time.Minute))
	wantNodes(t, nodes, again, a, longest)

	// The answer to the first call was lost.
	a.Started = time.Time{}
	again2 := keep(t, nodes[0], a)
	wantNodes(t, nodes, again, again2, longest)
}

// testDropNode checks that a dropped node is no longer listed, and cannot
// return.
func testDropNode(t *testing.T, nodes []store.Nodes) {
	a, b := keep(t, nodes[0], store.Node{ID: "a"}), keep(t, nodes[1], store.Node{ID: "b"})
	for range 2 {
		if err := nodes[2].DropNode(t.Context(), "a"); err != nil {
			t.Errorf("DropNode: %v", err)
		}
		wantNodes(t, nodes, b)
	}
	for _, id := range []string{"", "never", strings.Repeat("x", 10_000)} {
		if err := nodes[0].DropNode(t.Context(), id); err != nil {
			t.Errorf("DropNode %.10q: %v", id, err)
		}
	}
	wantEnded(t, nodes[0], a)
	wantNodes(t, nodes, b)
	c := keep(t, nodes[0], store.Node{ID: "c"})
	wantNodes(t, nodes, b, c)
}

// wantEnded asserts that the lease of a node has ended.
func wantEnded(t *testing.T, s store.Nodes, n store.Node) {
	t.Helper()
	if got, err := s.KeepNode(t.Context(), n, time.Hour); !errors.Is(err, store.ErrNotFound) || !sameNode(got, store.Node{}) {
		t.Errorf("KeepNode %s, which has ended: %+v, %v, want ErrNotFound", n.ID, got, err)
	}
}

// testLeases checks that a node is listed exactly until its lease ends.
func testLeases(t *testing.T, nodes []store.Nodes) {
	long := keep(t, nodes[0], store.Node{ID: "long"})
	passed(t, nodes[0], long.Started.Add(2*time.Millisecond))
	short := keep(t, nodes[1], store.Node{ID: "short"}, 60*time.Millisecond)
	for i := 0; ; i++ {
		before := now(t, nodes[0])
		all, err := nodes[i%3].ListNodes(t.Context())
		after := now(t, nodes[0])
		if err != nil || len(all) == 0 || !sameNode(all[0], long) {
			t.Fatalf("ListNodes: %+v, %v", all, err)
		}
		if len(all) == 1 {
			if after.Before(short.Until.Add(-time.Millisecond)) {
				t.Errorf("gone at %v, kept until %v", after, short.Until)
			}
			break
		}
		if before.After(short.Until.Add(time.Millisecond)) {
			t.Fatalf("listed at %v, kept until %v", before, short.Until)
		}
		time.Sleep(5 * time.Millisecond)
	}
	wantEnded(t, nodes[0], short)
	wantNodes(t, nodes, long)
}

// testReturn checks that a process that returns after its lease has ended must
// continue as a new node, however often it asks, and that an extended lease
// does not end.
func testReturn(t *testing.T, nodes []store.Nodes) {
	const ttl = 50 * time.Millisecond
	late := keep(t, nodes[0], store.Node{ID: "late", Data: []byte("data")}, ttl)
	kept := keep(t, nodes[1], store.Node{ID: "kept"}, 20*time.Second)
	kept = keep(t, nodes[1], kept)
	passed(t, nodes[0], late.Until.Add(ttl))
	for i := range 6 {
		wantEnded(t, nodes[i%3], late)
	}
	wantNodes(t, nodes, kept)
	wantNodes(t, nodes, kept, keep(t, nodes[0], store.Node{ID: "new"}))
}

func testNodeInvalid(t *testing.T, nodes []store.Nodes) {
	for name, tt := range map[string]struct {
		node store.Node
		ttl  time.Duration
	}{
		"no ID":     {store.Node{}, time.Minute},
		"long ID":   {store.Node{ID: strings.Repeat("n", 65)}, time.Minute},
		"long Data": {store.Node{ID: "n", Data: make([]byte, 4<<10+1)}, time.Minute},
		"no lease":  {store.Node{ID: "n"}, 0},
		"short":     {store.Node{ID: "n"}, time.Millisecond - 1},
		"long":      {store.Node{ID: "n"}, time.Hour + 1},
	} {
		if _, err := nodes[0].KeepNode(t.Context(), tt.node, tt.ttl); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	wantNodes(t, nodes)
}

func testNodeCancellation(t *testing.T, nodes []store.Nodes) {
	kept := keep(t, nodes[0], store.Node{ID: "kept"})
	for range 100 {
		_, keep := nodes[0].KeepNode(canceled(t), store.Node{ID: "other"}, time.Hour)
		_, list := nodes[0].ListNodes(canceled(t))
		for name, err := range map[string]error{"KeepNode": keep, "ListNodes": list, "DropNode": nodes[0].DropNode(canceled(t), "kept")} {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	wantNodes(t, nodes, kept)
}

// testNodeConcurrency checks that concurrent changes of different nodes do not
// affect each other.
func testNodeConcurrency(t *testing.T, nodes []store.Nodes) {
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			n := store.Node{ID: fmt.Sprint(i)}
			for step := range 10 {
				n.Data = []byte(fmt.Sprint(step))
				got, err := nodes[(i+step)%3].KeepNode(t.Context(), n, time.Hour)
				if err != nil || !n.Started.IsZero() && !got.Started.Equal(n.Started) {
					t.Errorf("KeepNode %+v: %+v, %v", n, got, err)
				}
				n = got
			}
			if i%2 == 0 {
				if err := nodes[i%3].DropNode(t.Context(), n.ID); err != nil {
					t.Errorf("DropNode: %v", err)
				}
			}
		})
	}
	wg.Wait()
	all, err := nodes[0].ListNodes(t.Context())
	if err != nil || len(all) != 15 {
		t.Errorf("%d nodes, %v", len(all), err)
	}
	for _, n := range all {
		if string(n.Data) != "9" {
			t.Errorf("node %s has data %q", n.ID, n.Data)
		}
	}
}
