package revindex

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestSetRefilters checks that when enough entries were removed, the filter is
// rebuilt with exactly the entries of the set.
func TestSetRefilters(t *testing.T) {
	now := time.Now()
	s := newSet()
	const n = 1000
	for i := range n {
		expires := now.Add(-store.ClockSlack)
		if i%2 == 0 {
			expires = now
		}
		s.put(store.Revocation{Target: store.TargetToken + store.Target(i%2), ID: fmt.Sprint(i), Expires: expires})
	}
	s.put(store.Revocation{Target: store.TargetAll, Before: now, Expires: now})
	s.forgotten = refilterAfter - n/2 - 1
	s.sweep(now, n)
	s.refilter()
	if !s.ids.Load().mayHold("1") || s.forgotten != refilterAfter-1 {
		t.Fatalf("made anew after %d", s.forgotten)
	}
	s.forgotten++
	s.refilter()
	wrong := 0
	for i := range n {
		id := fmt.Sprint(i)
		switch held := s.ids.Load().mayHold(id); {
		case i%2 == 0 && (!held || !s.mayRevoke(&token.Claims{Subject: "x", ID: id}) || !s.revokes(&token.Claims{ID: id, IssuedAt: now.Add(time.Minute)})):
			t.Errorf("%d is not revoked", i)
		case i%2 == 1 && held:
			wrong++
		}
	}
	if wrong > 10 {
		t.Errorf("the filter still holds %d of %d that were forgotten", wrong, n/2)
	}
	if s.forgotten != 0 || s.len() != n/2+1 || !s.revokes(&token.Claims{IssuedAt: now}) {
		t.Errorf("%d forgotten, %d held", s.forgotten, s.len())
	}
}

// TestSweepKeepsWhatWasExtended checks that a revocation that was added again
// with a later expiry is kept until then, even after earlier sweeps.
func TestSweepKeepsWhatWasExtended(t *testing.T) {
	now := time.Now()
	s := newSet()
	r := store.Revocation{Target: store.TargetSession, ID: "s1", Expires: now.Add(time.Minute)}
	s.put(r)
	r.Expires = now.Add(time.Hour)
	if !s.put(r) {
		t.Fatal("a later expiry changes nothing")
	}
	claims := &token.Claims{SessionID: "s1"}
	for _, at := range []time.Duration{time.Minute, 2 * time.Minute, time.Hour - time.Millisecond} {
		if s.sweep(now.Add(at+store.ClockSlack), 10); !s.revokes(claims) || s.len() != 1 {
			t.Errorf("removed %v later", at)
		}
	}
	if s.sweep(now.Add(time.Hour+store.ClockSlack), 10); s.revokes(claims) || s.len() != 0 {
		t.Error("not removed at its expiry")
	}
}

// TestSetKeepsTheHighestGeneration checks that the set merges generations, and
// keeps them apart from a revocation of the session.
func TestSetKeepsTheHighestGeneration(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123).UTC()
	s := newSet()
	older := func(generation uint64) store.Revocation {
		return store.Revocation{Target: store.TargetOlder, ID: "s", Generation: generation, Expires: now}
	}
	claims := &token.Claims{SessionID: "s", Type: token.TypeAccess, Generation: 4}
	for _, step := range []struct {
		generation    uint64
		changed, hits bool
	}{{4, true, false}, {3, false, false}, {5, true, true}, {5, false, true}, {1, false, true}, {1<<53 - 1, true, true}} {
		if changed := s.put(older(step.generation)); changed != step.changed || s.revokes(claims) != step.hits || !s.mayRevoke(claims) {
			t.Errorf("generation %d: changed %v, revoked %v", step.generation, changed, s.revokes(claims))
		}
	}
	if got := s.spans[store.TargetOlder]["s"].revocation(store.TargetOlder, "s"); got != older(1<<53-1) || s.len() != 1 {
		t.Errorf("kept %v", got)
	}
	refresh := &token.Claims{SessionID: "s", Type: token.TypeRefresh}
	if s.revokes(refresh) {
		t.Error("a refresh token is revoked")
	}
	s.put(store.Revocation{Target: store.TargetSession, ID: "s", Expires: now})
	if !s.revokes(refresh) || s.len() != 2 {
		t.Errorf("the session is not revoked; %d held", s.len())
	}
	s.sweep(now.Add(store.ClockSlack), 10)
	if s.len() != 0 || s.revokes(claims) {
		t.Errorf("%d are left", s.len())
	}
}

// TestFilterIsRarelyWrong checks that the filter contains every added name, and
// few others.
func TestFilterIsRarelyWrong(t *testing.T) {
	f := newFilter()
	const n = 100_000
	for i := range n {
		f.add(fmt.Sprint("in-", i))
	}
	if f.mayHold("") {
		t.Error("holds the empty name")
	}
	f.add("")
	if !f.mayHold("") {
		t.Error("does not hold the empty name")
	}
	wrong := 0
	for i := range n {
		if !f.mayHold(fmt.Sprint("in-", i)) {
			t.Fatalf("does not hold %d", i)
		}
		if f.mayHold(fmt.Sprint("out-", i)) {
			wrong++
		}
	}
	if wrong > n/500 {
		t.Errorf("wrong about %d of %d", wrong, n)
	}
}

// TestIndexAnswersDuringRevoke checks that concurrent readers see a revocation
// once Revoke has returned.
func TestIndexAnswersDuringRevoke(t *testing.T) {
	x, err := New(Config{Log: memory.New(store.Limits{})})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	var revoked atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for at := 0; at < n; {
				known := int(revoked.Load())
				for ; at < known; at++ {
					if !x.Revoked(&token.Claims{ID: fmt.Sprint(at)}) {
						t.Errorf("%d is not revoked", at)
					}
				}
				if x.Revoked(&token.Claims{ID: "other", SessionID: fmt.Sprint(at), Subject: fmt.Sprint(at)}) {
					t.Error("another is revoked")
				}
				runtime.Gosched()
			}
		})
	}
	for i := range n {
		if err := x.Revoke(t.Context(), inAMinute(fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
		if i%100 == 0 {
			x.mu.Lock()
			x.set.forgotten = refilterAfter
			x.set.refilter()
			x.mu.Unlock()
		}
		revoked.Add(1)
	}
	wg.Wait()
}
