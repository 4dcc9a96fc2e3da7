package wsauth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A faultyStore is a store that is slow, fails at times, and loses answers.
type faultyStore struct {
	*memory.Store

	mu      sync.Mutex
	rnd     *rand.Rand
	healthy bool
}

var errFault = errors.New("the store has failed")

// SetCount implements [store.Counters].
func (f *faultyStore) SetCount(ctx context.Context, c store.Count) (store.Counts, error) {
	f.mu.Lock()
	fault, before, after := f.rnd.IntN(8), f.delay(), f.delay()
	if f.healthy {
		fault, before, after = 0, 0, 0
	}
	f.mu.Unlock()
	if fault == 1 {
		return store.Counts{}, errFault
	}
	wait(ctx, before)
	counts, err := f.Store.SetCount(ctx, c)
	wait(ctx, after)
	switch {
	case ctx.Err() != nil:
		return store.Counts{}, ctx.Err()
	case fault == 2:
		return store.Counts{}, errFault
	}
	return counts, err
}

// Publish implements [store.Log].
func (f *faultyStore) Publish(ctx context.Context, events ...store.Event) error {
	f.mu.Lock()
	fails := !f.healthy && f.rnd.IntN(4) == 0
	f.mu.Unlock()
	if fails {
		return errFault
	}
	return f.Store.Publish(ctx, events...)
}

// delay returns how long a step takes. f.mu must be held.
func (f *faultyStore) delay() time.Duration {
	if f.rnd.IntN(10) == 0 {
		return time.Duration(f.rnd.Int64N(int64(2 * countPatience)))
	}
	return time.Duration(f.rnd.Int64N(int64(20 * time.Millisecond)))
}

// A throng is a set of clients of three nodes.
type throng struct {
	sharing
	limits Limits
	store  *faultyStore

	mu   sync.Mutex
	open []visitor
}

// TestSharedLimitsHoldAfterAnySequence checks the limits while sockets are
// opened on all nodes at the same time, ended and closed at random, on a store
// that is slow, fails and loses answers. A limit is never exceeded, or with
// EndOldest only for a short time. At the end all counts are zero.
func TestSharedLimitsHoldAfterAnySequence(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 17))
			x := newThrong(t, rnd)
			for step := range 60 {
				x.step(rnd)
				x.check(t, fmt.Sprintf("seed %d, step %d, %+v", seed, step, x.limits), 1+int(x.limits.WhenFull-RefuseNew))
				if t.Failed() {
					break
				}
			}
			x.store.mu.Lock()
			x.store.healthy = true
			x.store.mu.Unlock()
			time.Sleep(resendAfter + 20*time.Second)
			x.check(t, fmt.Sprintf("seed %d, settled, %+v", seed, x.limits), 1)
			for _, v := range x.open {
				v.Closed()
			}
			time.Sleep(resendAfter + 20*time.Second)
			for _, key := range []string{"sub:ada", "sub:bob", "sid:s1", "sid:s2", "net:192.0.2.1", "net:192.0.2.2"} {
				if _, err := x.store.KeepNode(t.Context(), store.Node{ID: "probe"}, time.Minute); err != nil {
					t.Fatal(err)
				}
				if counts, err := x.store.SetCount(t.Context(), store.Count{Node: "probe", Key: key}); err != nil || counts.Sum != 0 {
					t.Errorf("seed %d: at the end %d sockets of %s are counted, %v", seed, counts.Sum, key, err)
				}
			}
			for node, g := range x.nodes {
				if left := tallies(g); left != 0 {
					t.Errorf("seed %d: node %d has %d tallies at the end", seed, node, left)
				}
				if err := g.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func newThrong(t *testing.T, rnd *rand.Rand) *throng {
	t.Helper()
	x := &throng{
		limits: Limits{
			PerSubject: 1 + rnd.IntN(4), PerSession: rnd.IntN(3), PerAddress: rnd.IntN(5),
			WhenFull: []WhenFull{EndOldest, RefuseNew}[rnd.IntN(2)],
		},
		store: &faultyStore{Store: memory.New(store.Limits{}), rnd: rand.New(rand.NewPCG(rnd.Uint64(), 0))},
	}
	x.cluster = new(cluster)
	for node := range x.nodes {
		id := fmt.Sprint("node", node)
		if _, err := x.store.KeepNode(t.Context(), store.Node{ID: id}, time.Hour); err != nil {
			t.Fatal(err)
		}
		var err error
		x.nodes[node], err = New(Config{
			Verifier: new(token.Verifier), Limits: x.limits, Revocations: x.store,
			Counters: x.store, Node: func() string { return id },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func (x *throng) step(rnd *rand.Rand) {
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	x.mu.Lock()
	x.open = slices.DeleteFunc(x.open, func(v visitor) bool {
		closes := v.Err() != nil || rnd.IntN(10) == 0
		if closes {
			v.Closed()
		}
		return closes
	})
	if len(x.open) > 0 && rnd.IntN(3) == 0 {
		x.open[rnd.IntN(len(x.open))].End(SessionEnded)
	}
	x.mu.Unlock()
	for range rnd.IntN(6) {
		node, from, subject, session := rnd.IntN(3), pick(home, "192.0.2.2:1"), pick("ada", "ada", "bob"), pick("s1", "s2")
		go func() {
			v, err := x.admit(node, from, subject, session)
			if err != nil {
				return
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			x.open = append(x.open, v)
		}()
	}
	time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
}

// check fails the test if more sockets are open than factor times a limit.
func (x *throng) check(t *testing.T, when string, factor int) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	counts := map[string]int{}
	for _, v := range x.open {
		if v.Err() == nil {
			counts["user "+v.Claims().Subject]++
			counts["session "+v.Claims().SessionID]++
			counts["address "+v.RemoteAddr()]++
		}
	}
	for name, n := range counts {
		most := map[byte]int{'u': x.limits.PerSubject, 's': x.limits.PerSession, 'a': x.limits.PerAddress}[name[0]]
		if most > 0 && n > factor*most {
			t.Errorf("%s: %d sockets of %s are open", when, n, name)
		}
	}
}
