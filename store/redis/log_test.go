package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth/store"
	"wsauth/store/memory"
)

// readAll reads the log from its beginning.
func readAll(t *testing.T, log store.Log) (revocations []store.Revocation, events []store.Event, last store.Page) {
	t.Helper()
	var cursor store.Cursor
	for {
		page, err := log.Read(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		revocations = append(revocations, page.Revocations...)
		events = append(events, page.Events...)
		if cursor = page.Next; page.End {
			return revocations, events, page
		}
	}
}

// TestLogMatchesMemory checks random revocations and events against the store
// in memory, which has the same rules in Go.
func TestLogMatchesMemory(t *testing.T) {
	limits := store.Limits{Revocations: 12, Events: 4}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		c := sharedServer(t).config()
		c.Limits = limits
		log, reference := mustOpen(t, c), memory.New(limits)
		now := time.Now().Truncate(time.Millisecond).UTC()
		moment := func() time.Time { return now.Add(time.Duration(random.IntN(5)) * time.Minute) }
		var sids []string
		for n := range 4 {
			sids = append(sids, store.NewSessionID(now.Add(time.Duration(n)*time.Minute)))
		}
		sids = append(sids, "other", sids[0]+"x", "g"+sids[0][1:])
		for step := range 60 {
			if random.IntN(4) == 0 {
				e := store.Event{Kind: fmt.Sprint("k", random.IntN(2)), ID: sids[random.IntN(3)], Data: []byte(fmt.Sprint(step)), Expires: now.Add(time.Hour)}
				got, want := log.Publish(t.Context(), e), reference.Publish(t.Context(), e)
				if !errors.Is(got, want) {
					t.Fatalf("Publish: %v, want %v", got, want)
				}
				continue
			}
			var list []store.Revocation
			for range 1 + random.IntN(3) {
				r := store.Revocation{Target: store.Target(1 + random.IntN(6)), Expires: moment().Add(time.Hour)}
				if r.Target == store.TargetAll && random.IntN(3) > 0 {
					r.Target = store.TargetSession
				}
				if r.Target != store.TargetAll {
					r.ID = sids[random.IntN(len(sids))]
				}
				switch r.Target {
				case store.TargetSubject, store.TargetAll, store.TargetSessionless:
					r.Before = moment()
				case store.TargetOlder:
					r.Generation = uint64(1 + random.IntN(3))
				}
				list = append(list, r)
			}
			got, want := log.Revoke(t.Context(), list...), reference.Revoke(t.Context(), list...)
			if !errors.Is(got, want) {
				t.Fatalf("round %d, step %d: Revoke %v: %v, want %v", round, step, list, got, want)
			}
		}
		revocations, events, _ := readAll(t, log)
		wantRevocations, wantEvents, _ := readAll(t, reference)
		if diff := cmp.Diff(wantRevocations, revocations); diff != "" {
			t.Errorf("round %d: revocations: %s", round, diff)
		}
		if diff := cmp.Diff(wantEvents, events); diff != "" {
			t.Errorf("round %d: events: %s", round, diff)
		}
		usage, err := log.RevocationUsage(t.Context())
		want, _ := reference.RevocationUsage(t.Context())
		if err != nil || usage != want {
			t.Errorf("round %d: usage %+v, %v, want %+v", round, usage, err, want)
		}
	}
}

// TestEverythingMakesRoom checks that a revocation of everything removes the
// entries that it covers step by step, that readers do not see them in the
// meantime, and that a full log has room for others at once.
func TestEverythingMakesRoom(t *testing.T) {
	const size = 5000
	server := sharedServer(t)
	c := server.config()
	c.Limits.Revocations = size
	log := mustOpen(t, c)
	now := time.Now()
	for n := 0; n < size; n += store.MaxPage {
		var list []store.Revocation
		for i := range store.MaxPage {
			list = append(list, store.Revocation{Target: store.TargetSubject, ID: fmt.Sprint(n + i), Before: now, Expires: now.Add(time.Hour)})
		}
		if err := log.Revoke(t.Context(), list...); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Revoke(t.Context(), inAnHour("a")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full: %v", err)
	}
	if err := log.Overfill(t.Context(), inAnHour("over")); err != nil {
		t.Errorf("Overfill: %v", err)
	}
	everything := store.Revocation{Target: store.TargetAll, Before: now, Expires: now.Add(time.Hour)}
	if err := log.Revoke(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
	if all, _, _ := readAll(t, log); len(all) != 2 {
		t.Errorf("%d revocations", len(all))
	}
	if err := log.Revoke(t.Context(), inAnHour("b")); err != nil {
		t.Errorf("after everything: %v", err)
	}
	eventually(t, func() error {
		usage, err := log.RevocationUsage(t.Context())
		if err == nil && usage.Entries != 2 {
			err = fmt.Errorf("usage %+v", usage)
		}
		return err
	})
	for _, key := range log.keys.log()[2:3] {
		if got := server.do(t, "HLEN", key); got != "3" {
			t.Errorf("%s has %s entries", key, got)
		}
	}
}

// TestFlushed checks D11: readers learn that the log was deleted, as a whole or
// in part.
func TestFlushed(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s := mustOpen(t, server.config())
	for _, lost := range []int{-1, 1, 2, 3} {
		if err := s.Revoke(t.Context(), inAnHour("a"), inAnHour("b")); err != nil {
			t.Fatal(err)
		}
		page, err := s.Read(t.Context(), store.Cursor{})
		if err != nil || len(page.Revocations) != 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		waiting := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = s.Wait(t.Context(), page.Next)
			}
			waiting <- err
		}()
		if lost < 0 {
			server.do(t, "FLUSHALL")
			if err := <-waiting; !errors.Is(err, store.ErrCursor) {
				t.Errorf("Wait: %v, want ErrCursor", err)
			}
			if _, err := s.Read(t.Context(), page.Next); !errors.Is(err, store.ErrCursor) {
				t.Errorf("Read: %v, want ErrCursor", err)
			}
			continue
		}
		server.do(t, "DEL", s.keys.log()[lost])
		if err := <-waiting; err == nil {
			t.Errorf("Wait without %s: %v", s.keys.log()[lost], err)
		}
		if _, err := s.Read(t.Context(), store.Cursor{}); err == nil {
			t.Errorf("Read without %s: %v", s.keys.log()[lost], err)
		}
		if err := s.Revoke(t.Context(), inAnHour("c")); err == nil {
			t.Errorf("Revoke without %s: %v", s.keys.log()[lost], err)
		}
		server.do(t, "FLUSHALL")
	}
}

// TestBeats checks that the nodes of a store write one beat a second together,
// and that a reader learns of each.
func TestBeats(t *testing.T) {
	t.Parallel()
	c := sharedServer(t).config()
	s, _, _ := mustOpen(t, c), mustOpen(t, c), mustOpen(t, c)
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || page.Known.IsZero() || page.Known.After(page.Now) {
		t.Fatalf("%+v, %v", page, err)
	}
	started, known, beats := page, page.Known, 0
	for beats < 3 {
		if err := s.Wait(t.Context(), page.Next); err != nil {
			t.Fatal(err)
		}
		if page, err = s.Read(t.Context(), page.Next); err != nil {
			t.Fatal(err)
		}
		if page.Known.After(known) {
			known = page.Known
			beats++
		}
	}
	if took := page.Now.Sub(started.Now); took < 1900*time.Millisecond || page.Next.Sequence != started.Next.Sequence+3 {
		t.Errorf("3 beats in %v, from %v to %v", took, started.Next, page.Next)
	}
}

// TestEventsTravel measures how long it takes from a revocation on one node
// until another one has read it.
func TestEventsTravel(t *testing.T) {
	c := sharedServer(t).config()
	one, other := mustOpen(t, c), mustOpen(t, c)
	page, err := other.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	var total time.Duration
	const rounds = 50
	for n := range rounds {
		read := make(chan error, 1)
		go func() {
			for {
				if err := other.Wait(t.Context(), page.Next); err != nil {
					read <- err
					return
				}
				if page, err = other.Read(t.Context(), page.Next); err != nil || len(page.Revocations) > 0 {
					read <- err
					return
				}
			}
		}()
		started := time.Now()
		if err := one.Revoke(t.Context(), inAnHour(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		total += time.Since(started)
	}
	t.Logf("mean: %v", total/rounds)
	if total/rounds > 100*time.Millisecond {
		t.Errorf("mean: %v", total/rounds)
	}
}
