package wsauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/token"
)

// TestD14_LimitsAfterANodeDies checks that the sockets of a node that has died
// are counted until its lease ends, and not after that.
func TestD14_LimitsAfterANodeDies(t *testing.T) {
	for _, when := range []WhenFull{RefuseNew, EndOldest} {
		inSharing(t, Limits{PerSubject: 2, WhenFull: when}, func(t *testing.T, n *sharing) {
			n.lease(t, 2, 10*time.Second)
			dead := []visitor{n.enter(t, 2, home, "ada", "s1"), n.enter(t, 2, home, "ada", "s1")}
			n.nodes[2].open.sockets.shared.stop() // as if the node had died
			n.nodes[2].revocations.stop()
			time.Sleep(time.Second)
			if when == RefuseNew {
				if _, err := n.admit(0, home, "ada", "s1"); !errors.Is(err, RateLimited) {
					t.Errorf("before the lease ends: %v, want %v", err, RateLimited)
				}
			} else {
				n.enter(t, 0, home, "ada", "s1") // the dead node cannot end its own
			}
			time.Sleep(10 * time.Second)
			if when == RefuseNew {
				n.enter(t, 0, home, "ada", "s1")
			}
			v := n.enter(t, 1, home, "ada", "s1")
			settled()
			if sum := n.sum(t, bySubject, "ada"); sum != 2 || v.Err() != nil {
				t.Errorf("%v: the store has %d sockets, want 2; the last one: %v", when, sum, v.Err())
			}
			for _, v := range dead {
				v.close()
			}
		})
	}
}

// recount makes a guard store all counts again, and waits until it has.
func recount(ctx context.Context, g *Guard) error {
	c := g.open.sockets.shared
	node := c.node()
	c.recount(node)
	return c.await(ctx, func() bool {
		for _, t := range c.tallies {
			if !t.known || t.node != node {
				return false
			}
		}
		return true
	})
}

// TestRecount checks that a node whose lease has ended stores the counts of its
// sockets again, under its new ID.
func TestRecount(t *testing.T) {
	for _, when := range []WhenFull{RefuseNew, EndOldest} {
		inSharing(t, Limits{PerSubject: 3, WhenFull: when}, func(t *testing.T, n *sharing) {
			old := n.enter(t, 0, home, "ada", "s1")
			time.Sleep(time.Second)
			n.enter(t, 0, home, "ada", "s1")
			if err := n.store.DropNode(t.Context(), "node0"); err != nil {
				t.Fatal(err)
			}
			n.enter(t, 1, home, "ada", "s1")
			n.enter(t, 1, home, "ada", "s1")
			if _, err := n.admit(0, home, "ada", "s1"); !errors.Is(err, StoreUnavailable) {
				t.Errorf("without a lease: %v, want %v", err, StoreUnavailable)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := recount(ctx, n.nodes[0]); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("recount without a lease: %v, want %v", err, context.DeadlineExceeded)
			}
			n.ids[0].Store(new("node0 again"))
			n.lease(t, 0, time.Hour)
			if err := recount(t.Context(), n.nodes[0]); err != nil {
				t.Fatal(err)
			}
			settled()
			want, ends := 4, false // with RefuseNew, all stay open
			if when == EndOldest {
				want, ends = 3, true
			}
			if sum := n.sum(t, bySubject, "ada"); sum != want || (old.Err() != nil) != ends {
				t.Errorf("%v: the store has %d sockets, want %d; the oldest: %v", when, sum, want, old.Err())
			}
		})
	}
}

// TestNewNodeID checks that a guard stores its counts again when its node has a
// new ID, without being told.
func TestNewNodeID(t *testing.T) {
	inSharing(t, Limits{PerSubject: 3}, func(t *testing.T, n *sharing) {
		n.enter(t, 0, home, "ada", "s1")
		if err := n.store.DropNode(t.Context(), "node0"); err != nil {
			t.Fatal(err)
		}
		n.ids[0].Store(new("node0 again"))
		time.Sleep(time.Second)
		n.lease(t, 0, time.Hour)
		time.Sleep(2 * flushFailed)
		if sum := n.sum(t, bySubject, "ada"); sum != 1 {
			t.Errorf("the store has %d sockets, want 1", sum)
		}
	})
}

// TestSharedLimitWithoutTheStore checks that no socket opens while the store
// does not answer, and that a socket that was refused then does not stay
// counted.
func TestSharedLimitWithoutTheStore(t *testing.T) {
	inSharing(t, Limits{PerSubject: 2}, func(t *testing.T, n *sharing) {
		n.delay.Store(int64(time.Hour))
		started := time.Now()
		if _, err := n.admit(0, home, "ada", "s1"); !errors.Is(err, StoreUnavailable) {
			t.Errorf("a store that does not answer: %v, want %v", err, StoreUnavailable)
		}
		if took := time.Since(started); took != countPatience {
			t.Errorf("refused after %v, want %v", took, countPatience)
		}
		if open := n.nodes[0].Stats().Sockets; open != 0 {
			t.Errorf("%d sockets are open, want none", open)
		}
		synctest.Wait()
		n.delay.Store(0)
		n.enter(t, 1, home, "ada", "s1")
		n.enter(t, 0, home, "ada", "s1")
		time.Sleep(time.Minute)
		if sum := n.sum(t, bySubject, "ada"); sum != 2 {
			t.Errorf("the store has %d sockets, want 2", sum)
		}
	})
}

// TestClientLeavesWhileItWaits checks that a client that leaves while the store
// answers takes no place.
func TestClientLeavesWhileItWaits(t *testing.T) {
	inSharing(t, Limits{PerSubject: 2}, func(t *testing.T, n *sharing) {
		n.delay.Store(int64(100 * time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		claims := &token.Claims{Subject: "ada", ExpiresAt: time.Now().Add(time.Hour)}
		if _, err := n.nodes[0].Admit(request(home).WithContext(ctx), Access, claims, new(endings)); err == nil {
			t.Error("the socket of a client that has left was admitted")
		}
		time.Sleep(time.Second)
		if sum := n.sum(t, bySubject, "ada"); sum != 0 || tallies(n.nodes[0]) != 0 {
			t.Errorf("the store has %d sockets, want none", sum)
		}
	})
}

// TestLongNames checks that a store accepts the keys of names of any length.
func TestLongNames(t *testing.T) {
	long := string(slices.Repeat([]byte("x"), 1000))
	inSharing(t, Limits{PerSubject: 1, PerSession: 1}, func(t *testing.T, n *sharing) {
		n.enter(t, 0, home, long, long)
		if _, err := n.admit(1, home, long, long); !errors.Is(err, RateLimited) {
			t.Errorf("a second socket: %v, want %v", err, RateLimited)
		}
		n.enter(t, 1, home, long+"y", long+"y")
	})
}

// TestCountersConfig checks what Config.Counters requires.
func TestCountersConfig(t *testing.T) {
	var none *countedStore
	for name, c := range map[string]Config{
		"Config.Node":        {Counters: countedStore{}},
		"Config.Counters":    {Counters: none, Node: func() string { return "" }},
		"Config.Revocations": {Counters: countedStore{}, Node: func() string { return "" }, Limits: Limits{WhenFull: EndOldest}},
	} {
		c.Verifier = new(token.Verifier)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name+":") {
			t.Errorf("New: %v, want an error about %s", err, name)
		}
	}
}
