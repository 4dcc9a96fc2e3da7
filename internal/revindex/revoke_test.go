package revindex

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestIndexRevokes checks that a revocation by the index is written to the log,
// and is in effect and notified at once, even if the index does not follow the
// log.
func TestIndexRevokes(t *testing.T) {
	log := memory.New(store.Limits{})
	told := map[string]int{}
	x, err := New(Config{Log: log, OnRevoke: func(r store.Revocation) { told[r.ID]++ }})
	if err != nil {
		t.Fatal(err)
	}
	gone := store.Revocation{Target: store.TargetToken, ID: "gone", Expires: time.Now().Add(-2 * store.ClockSlack)}
	for range 2 {
		if err := x.Revoke(t.Context(), inAMinute("a"), inAMinute("b"), inAMinute("a"), gone); err != nil {
			t.Fatal(err)
		}
	}
	page, err := log.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != 2 {
		t.Errorf("the log has %v, %v", page.Revocations, err)
	}
	if !x.Revoked(&token.Claims{ID: "a"}) || !x.Revoked(&token.Claims{ID: "b"}) || x.Len() != 2 {
		t.Errorf("the index holds %d", x.Len())
	}
	// If the times of the second call are later, OnRevoke is called for each
	// once more.
	for _, id := range []string{"a", "b"} {
		if told[id] < 1 || told[id] > 2 {
			t.Errorf("notified of %s %d times", id, told[id])
		}
	}
	if told["gone"] != 0 {
		t.Error("notified of an expired revocation")
	}
}

// TestIndexRevokeInvalid checks that a revocation that no log accepts has no
// effect.
func TestIndexRevokeInvalid(t *testing.T) {
	x, err := New(Config{Log: memory.New(store.Limits{}), OnRevoke: func(r store.Revocation) { t.Errorf("notified of %v", r) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Revoke(t.Context(), inAMinute("a"), store.Revocation{}); !errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrNotDurable) {
		t.Errorf("%v, want store.ErrInvalid", err)
	}
	if x.Len() != 0 || x.Held() != 0 || x.Revoked(&token.Claims{ID: "a"}) {
		t.Errorf("the index holds %d", x.Len())
	}
}

// TestIndexRevokeUnconfirmed checks that a revocation that no replica has
// confirmed is in effect everywhere and is not held by the node. Revoke returns
// store.ErrUnconfirmed.
func TestIndexRevokeUnconfirmed(t *testing.T) {
	doubt := fmt.Errorf("%w: no replica", store.ErrUnconfirmed)
	for name, maxHeld := range map[string]int{"with room": 3, "without room": 1} {
		t.Run(name, func(t *testing.T) {
			log, told := newFaulty(), 0
			x := mustIndex(t, Config{Log: log, MaxHeld: maxHeld, OnRevoke: func(store.Revocation) { told++ }})
			log.refuse = errDisk
			if err := x.Revoke(t.Context(), inAMinute("held")); !errors.Is(err, store.ErrNotDurable) {
				t.Fatal(err)
			}
			log.refuse, log.doubt = nil, doubt
			if err := x.Revoke(t.Context(), inAMinute("a"), inAMinute("b")); !errors.Is(err, store.ErrUnconfirmed) || errors.Is(err, store.ErrNotDurable) {
				t.Errorf("Revoke: %v, want store.ErrUnconfirmed", err)
			}
			if !x.Revoked(&token.Claims{ID: "a"}) || told != 3 || x.Held() != 1 || len(log.held(t)) != 2 {
				t.Errorf("notified %d times, %d held, the log has %v", told, x.Held(), log.held(t))
			}
			if err := x.Flush(t.Context()); err != nil || x.Held() != 0 || len(log.held(t)) != 3 {
				t.Errorf("Flush: %v, %d held, the log has %v", err, x.Held(), log.held(t))
			}
		})
	}
}

// TestIndexRevokeWaits checks that Revoke does not return nil while Run still
// notifies of the same revocation.
func TestIndexRevokeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(store.Limits{})
		begun, goOn := make(chan struct{}), make(chan struct{})
		x := startIndex(t, Config{Log: log, OnRevoke: func(store.Revocation) { close(begun); <-goOn }})
		r := inAMinute("a")
		mustRevoke(t, log, r)
		<-begun
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := x.Revoke(short, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while Run tells: %v", err)
		}
		var returned atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := x.Revoke(t.Context(), r); err != nil {
				t.Error(err)
			}
			returned.Store(true)
		})
		synctest.Wait()
		if returned.Load() {
			t.Error("returned while Run tells")
		}
		close(goOn)
		wg.Wait()
	})
}

// TestIndexCallsOnRevokeOnce checks that OnRevoke is called once for each
// revocation, before Revoke returns, even if Run and many calls of Revoke learn
// of it at the same time.
func TestIndexCallsOnRevokeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[string]int{}
		x := startIndex(t, Config{Log: memory.New(store.Limits{}), OnRevoke: func(r store.Revocation) {
			mu.Lock()
			defer mu.Unlock()
			told[r.ID]++
		}})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for n := range 1000 {
					r := inAMinute(fmt.Sprint(n))
					if err := x.Revoke(t.Context(), r); err != nil {
						t.Error(err)
					}
					mu.Lock()
					if told[r.ID] != 1 {
						t.Errorf("notified of %s %d times", r.ID, told[r.ID])
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if len(told) != 1000 || len(x.notifying) != 0 {
			t.Errorf("notified of %d, %d notifications in progress", len(told), len(x.notifying))
		}
	})
}
