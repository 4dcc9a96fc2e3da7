package wsauth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// A countedStore counts the calls of SetCount, and delays them.
type countedStore struct {
	store.Counters
	calls *atomic.Int64
	delay *atomic.Int64
}

func (c countedStore) SetCount(ctx context.Context, count store.Count) (store.Counts, error) {
	c.calls.Add(1)
	wait(ctx, time.Duration(c.delay.Load()))
	if err := ctx.Err(); err != nil {
		return store.Counts{}, err
	}
	return c.Counters.SetCount(ctx, count)
}

// A sharing is a cluster whose nodes have limits together.
type sharing struct {
	*cluster
	calls, delay atomic.Int64
	ids          [3]atomic.Pointer[string]
}

// inSharing runs a test in a synctest bubble, with a cluster with shared
// limits.
func inSharing(t *testing.T, limits Limits, test func(t *testing.T, n *sharing)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := new(sharing)
		n.cluster = newCluster(t, func(node int, c *Config) {
			c.Limits = limits
			c.Counters = countedStore{c.Revocations.(store.Cluster), &n.calls, &n.delay}
			c.Node = func() string { return *n.ids[node].Load() }
			n.ids[node].Store(new("node" + strconv.Itoa(node)))
		})
		for node := range n.nodes {
			n.lease(t, node, time.Hour)
		}
		test(t, n)
	})
}

// lease gives a node a lease under its ID.
func (n *sharing) lease(t *testing.T, node int, ttl time.Duration) {
	t.Helper()
	if _, err := n.store.KeepNode(t.Context(), store.Node{ID: *n.ids[node].Load()}, ttl); err != nil {
		t.Fatal(err)
	}
}

// A visitor is an open socket.
type visitor struct {
	*Socket
	end  *endings
	node int
}

// admit opens a socket of a user and a session on a node.
func (n *sharing) admit(node int, from, subject, session string) (visitor, error) {
	claims := &token.Claims{Subject: subject, SessionID: session, ID: "j", ExpiresAt: time.Now().Add(time.Hour)}
	v := visitor{end: new(endings), node: node}
	var err error
	v.Socket, err = n.nodes[node].Admit(request(from), Access, claims, v.end)
	return v, err
}

// enter is like admit, for a socket that must be admitted.
func (n *sharing) enter(t *testing.T, node int, from, subject, session string) visitor {
	t.Helper()
	v, err := n.admit(node, from, subject, session)
	if err != nil {
		t.Fatalf("node %d, %s, %s: %v", node, subject, session, err)
	}
	t.Cleanup(v.close)
	return v
}

// close closes the connection of a socket, unless it is closed.
func (v visitor) close() {
	if v.stage.Load() != stageClosed {
		v.Closed()
	}
}

// sum returns the sum of the counts of a key in the store.
func (n *sharing) sum(t *testing.T, kind nameKind, name string) int {
	t.Helper()
	if _, err := n.store.KeepNode(t.Context(), store.Node{ID: "probe"}, time.Second); err != nil {
		t.Fatal(err)
	}
	counts, err := n.store.SetCount(t.Context(), store.Count{Node: "probe", Key: countKey(kind, name)})
	if err != nil {
		t.Fatal(err)
	}
	return counts.Sum
}

// tallies returns how many keys a node counts.
func tallies(g *Guard) int {
	c := g.open.sockets.shared
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tallies)
}

// settled waits until all counts have been sent to the store.
func settled() {
	time.Sleep(evictAfter + 3*flushEvery)
	synctest.Wait()
}

const home = "192.0.2.1:1"

// TestSharedLimitRefuses checks that the limits of users, sessions and
// addresses apply to all nodes together, and that a socket that closes on one
// node makes room on the others.
func TestSharedLimitRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		limits Limits
		kind   nameKind
		name   string
	}{
		"user":    {Limits{PerSubject: 3}, bySubject, "ada"},
		"session": {Limits{PerSession: 3}, bySession, "s1"},
		"address": {Limits{PerAddress: 3}, byAddress, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			inSharing(t, tt.limits, func(t *testing.T, n *sharing) {
				var open []visitor
				for node := range n.nodes {
					open = append(open, n.enter(t, node, home, "ada", "s1"))
				}
				for node := range n.nodes {
					if _, err := n.admit(node, home, "ada", "s1"); !errors.Is(err, RateLimited) {
						t.Errorf("a fourth socket on node %d: %v, want %v", node, err, RateLimited)
					}
				}
				n.enter(t, 0, "198.51.100.1:1", "bob", "s2")
				open[1].close()
				settled()
				n.enter(t, 2, home, "ada", "s1")
				if sum := n.sum(t, tt.kind, tt.name); sum != 3 {
					t.Errorf("the store has %d sockets, want 3", sum)
				}
			})
		})
	}
}

// TestSharedLimitRefusesAfterAnother checks that a socket that a later limit
// refuses takes no place under the earlier ones.
func TestSharedLimitRefusesAfterAnother(t *testing.T) {
	inSharing(t, Limits{PerSession: 5, PerSubject: 2}, func(t *testing.T, n *sharing) {
		n.enter(t, 0, home, "ada", "s1")
		n.enter(t, 1, home, "ada", "s1")
		if _, err := n.admit(2, home, "ada", "s2"); !errors.Is(err, RateLimited) {
			t.Errorf("a third socket: %v, want %v", err, RateLimited)
		}
		settled()
		if sum := n.sum(t, bySession, "s2"); sum != 0 {
			t.Errorf("the store has %d sockets of the refused session, want 0", sum)
		}
	})
}

// TestSharedLimitCalls checks the number of calls of the store: one for each
// socket of a limited name, fewer if many open at the same time, and none for
// other sockets.
func TestSharedLimitCalls(t *testing.T) {
	inSharing(t, Limits{PerSubject: 1000}, func(t *testing.T, n *sharing) {
		for i := range 30 {
			n.enter(t, i%3, home, "ada", "s1")
		}
		if calls := n.calls.Load(); calls != 30 {
			t.Errorf("30 sockets took %d calls, want 30", calls)
		}
		n.enter(t, 0, home, "", "s2")
		if calls := n.calls.Load(); calls != 30 {
			t.Errorf("a socket without a user took %d calls, want none", calls-30)
		}
		n.calls.Store(0)
		n.delay.Store(int64(2 * time.Millisecond))
		started := time.Now()
		admitted := make(chan visitor, 200)
		for range cap(admitted) {
			go func() {
				if v, err := n.admit(0, home, "ada", "s1"); err == nil {
					admitted <- v
				}
			}()
		}
		for range cap(admitted) {
			t.Cleanup((<-admitted).close)
		}
		if calls, took := n.calls.Load(), time.Since(started); calls > 3 || took > 6*time.Millisecond {
			t.Errorf("%d sockets at once took %d calls in %v, want at most 3 in 6 ms", cap(admitted), calls, took)
		}
	})
	inSharing(t, Limits{}, func(t *testing.T, n *sharing) {
		n.enter(t, 0, home, "ada", "s1")
		if calls := n.calls.Load(); calls != 0 {
			t.Errorf("a socket without limits took %d calls, want none", calls)
		}
	})
}

// TestSharedLimitCallsOfUnauthenticatedClients checks that sockets cost the
// store no call before their clients have authenticated.
func TestSharedLimitCallsOfUnauthenticatedClients(t *testing.T) {
	inSharing(t, Limits{PerSubject: 1, PerAddress: 2}, func(t *testing.T, n *sharing) {
		waiting := func(node int) *Socket {
			s, err := n.nodes[node].Admit(handshake(""), Access, nil, new(endings))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Closed)
			return s
		}
		first, second := waiting(0), waiting(1)
		if calls := n.calls.Load(); calls != 0 {
			t.Errorf("sockets without a token took %d calls, want none", calls)
		}
		message := []byte(`{"type":"auth","token":"` + issue(t, n.issuer, token.Options{}) + `"}`)
		if _, err := first.Authenticate(t.Context(), message); err != nil {
			t.Fatal(err)
		}
		if calls := n.calls.Load(); calls != 2 {
			t.Errorf("two limits took %d calls, want 2", calls)
		}
		if _, err := second.Authenticate(t.Context(), message); !errors.Is(err, RateLimited) {
			t.Errorf("the second socket of a user: %v, want %v", err, RateLimited)
		}
		settled()
		if sum := n.sum(t, byAddress, "192.0.2.1"); sum != 1 {
			t.Errorf("the store has %d sockets of the address, want 1", sum)
		}
	})
}

// TestSharedLimitEndsOldest checks that a new socket ends exactly the oldest
// one, on whichever node it is.
func TestSharedLimitEndsOldest(t *testing.T) {
	inSharing(t, Limits{PerSubject: 6, WhenFull: EndOldest}, func(t *testing.T, n *sharing) {
		var open []visitor
		for i, node := range []int{2, 0, 1, 1, 2, 0, 0, 0, 2, 1, 1, 2} {
			time.Sleep(time.Second)
			open = append(open, n.enter(t, node, home, "ada", fmt.Sprint("s", i)))
			settled()
			for at, v := range open {
				if end := v.Err(); (end != nil) != (at < len(open)-6) || end != nil && !errors.Is(end, ConnectionLimit) {
					t.Errorf("after %d sockets, number %d: %v", len(open), at, end)
				}
				if v.Err() != nil {
					v.close()
				}
			}
			if sum := n.sum(t, bySubject, "ada"); sum != min(len(open), 6) {
				t.Errorf("after %d sockets, the store has %d", len(open), sum)
			}
		}
		// A client that comes back again and again is slowed down.
		var err error
		for range 10 {
			var v visitor
			if v, err = n.admit(0, home, "ada", "again"); err != nil {
				break
			}
			t.Cleanup(v.close)
			settled()
		}
		if !errors.Is(err, RateLimited) {
			t.Errorf("too many evictions: %v, want %v", err, RateLimited)
		}
	})
}

// TestSharedLimitOfMovedSockets checks that sockets that close on one node and
// reopen on another at once, as when a node drains, are not refused and do not
// end others.
func TestSharedLimitOfMovedSockets(t *testing.T) {
	inSharing(t, Limits{PerSubject: 4, WhenFull: EndOldest}, func(t *testing.T, n *sharing) {
		kept := []visitor{n.enter(t, 0, home, "ada", "s1"), n.enter(t, 1, home, "ada", "s1")}
		moved := []visitor{n.enter(t, 1, home, "ada", "s2"), n.enter(t, 1, home, "ada", "s3")}
		time.Sleep(time.Second)
		for _, v := range moved {
			v.close()
			kept = append(kept, n.enter(t, 2, home, "ada", "s2"))
		}
		time.Sleep(5 * time.Second)
		for i, v := range kept {
			if v.Err() != nil {
				t.Errorf("socket %d on node %d: %v", i, v.node, v.Err())
			}
		}
	})
	inSharing(t, Limits{PerSubject: 1}, func(t *testing.T, n *sharing) {
		for node := range n.nodes {
			time.Sleep(time.Second)
			n.enter(t, node, home, "ada", "s1").close()
			synctest.Wait() // until the store has the lower count
		}
	})
}

// TestSharedLimitEndsOldestOfSeveral checks that only one socket ends if it
// makes room under several limits.
func TestSharedLimitEndsOldestOfSeveral(t *testing.T) {
	inSharing(t, Limits{PerSession: 2, PerSubject: 2, PerAddress: 2, WhenFull: EndOldest}, func(t *testing.T, n *sharing) {
		oldest := n.enter(t, 0, home, "ada", "s1")
		time.Sleep(time.Second)
		kept := []visitor{n.enter(t, 1, home, "ada", "s1")}
		time.Sleep(time.Second)
		kept = append(kept, n.enter(t, 2, home, "ada", "s1"))
		time.Sleep(5 * time.Second)
		if !errors.Is(oldest.Err(), ConnectionLimit) {
			t.Errorf("the oldest socket: %v, want %v", oldest.Err(), ConnectionLimit)
		}
		for _, v := range kept {
			if v.Err() != nil {
				t.Errorf("a newer socket on node %d: %v", v.node, v.Err())
			}
		}
	})
}
