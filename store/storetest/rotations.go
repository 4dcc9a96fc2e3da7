package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
)

func testSessionRotation(t *testing.T, s store.Sessions) {
	other := newSession("b", "ann")
	begin(t, s, newSession("a", "ann"), other)
	want := newSession("a", "ann")
	for n := range 5 {
		before := time.Now().Truncate(time.Millisecond)
		r := rotation("a", fmt.Sprint(n), fmt.Sprint(n+1))
		r.Expires = expires.Add(-time.Hour + time.Duration(n)*time.Second + 999_999)
		got := wantRotated(t, s, r, r.To)
		if got.Rotated.Before(before) || got.Rotated.After(time.Now()) {
			t.Errorf("rotated at %v, now it is %v", got.Rotated, time.Now())
		}
		want.Generation++
		want.Current, want.Previous, want.Remote, want.Agent = r.To, r.From, r.Remote, r.Agent
		want.Rotated, want.Expires = got.Rotated.Truncate(time.Millisecond), r.Expires.Truncate(time.Millisecond)
		if got != want {
			t.Errorf("%+v\nwant %+v", got, want)
		}
		wantListed(t, s, "ann", want, other)
	}
	wantNoSession(t, s, store.Session{ID: "never", Current: "0", Subject: "ann"})
}

// testSessionGrace checks that the previous token may be exchanged again, with
// the same result, and that this changes only Remote and Agent.
func testSessionGrace(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"))
	first := wantRotated(t, s, rotation("a", "0", "1"), "1")
	for n := range 3 {
		again := rotation("a", "0", fmt.Sprint("other ", n))
		again.Remote, again.Agent = fmt.Sprint("address ", n), fmt.Sprint("agent ", n)
		again.Expires = expires.Add(-time.Hour)
		got := wantRotated(t, s, again, "1")
		first.Remote, first.Agent = again.Remote, again.Agent
		if got != first {
			t.Errorf("%+v\nwant %+v", got, first)
		}
		wantListed(t, s, "ann", first)
	}
	wantRotated(t, s, rotation("a", "1", "2"), "2")
	wantRotated(t, s, rotation("a", "1", "3"), "2")
}

// testSessionReuse checks that any token other than the last two ends the
// session, but no other session.
func testSessionReuse(t *testing.T, s store.Sessions) {
	other := newSession("other", "ann")
	begin(t, s, other)
	for name, from := range map[string]string{"the one before the last two": "0", "one that never was": "x", "one that was refused": "refused"} {
		begin(t, s, newSession("a", "ann"))
		wantRotated(t, s, rotation("a", "0", "1"), "1")
		wantRotated(t, s, rotation("a", "1", "2"), "2")
		was := wantRotated(t, s, rotation("a", "1", "refused"), "2")
		t.Log(name)
		wantReused(t, s, rotation("a", from, "3"), was)
		wantListed(t, s, "ann", other)
	}
	begin(t, s, newSession("a", "ann"))
	wantReused(t, s, rotation("a", "1", "2"), newSession("a", "ann"))
	wantRotated(t, s, rotation("other", "0", "1"), "1")
}

// testSessionNoGrace checks that without a grace period, the use of the
// previous token is a reuse immediately.
func testSessionNoGrace(t *testing.T, s store.Sessions) {
	for _, grace := range []time.Duration{0, -time.Hour} {
		begin(t, s, newSession("a", "ann"))
		was := wantRotated(t, s, rotation("a", "0", "1"), "1")
		again := rotation("a", "0", "2")
		again.Grace = grace
		wantReused(t, s, again, was)
	}
}

// testSessionGraceHasEnded checks that the grace period starts at the rotation,
// and is not extended by presenting the token again.
func testSessionGraceHasEnded(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"), newSession("b", "ann"))
	again := rotation("a", "0", "2")
	again.Grace = 10 * time.Second
	was := wantRotated(t, s, rotation("a", "0", "1"), "1")
	for range 2 {
		time.Sleep(time.Until(was.Rotated.Add(again.Grace)) / 2)
		was = wantRotated(t, s, again, "1")
	}
	time.Sleep(time.Until(was.Rotated.Add(again.Grace)))
	was = wantRotated(t, s, again, "1")
	time.Sleep(time.Millisecond)
	wantReused(t, s, again, was)

	was = wantRotated(t, s, rotation("b", "0", "1"), "1")
	time.Sleep(time.Hour)
	again.ID = "b"
	wantReused(t, s, again, was)
}

// testSessionParallel checks that of 100 calls on three nodes with one token,
// one replaces it and all get the same result.
func testSessionParallel(t *testing.T, nodes []store.Sessions) {
	begin(t, nodes[0], newSession("a", "ann"))
	const rounds, calls = 10, 100
	from := "0"
	for round := range rounds {
		var currents sync.Map
		var wg sync.WaitGroup
		for call := range calls {
			wg.Go(func() {
				session, err := nodes[call%len(nodes)].RotateSession(t.Context(), rotation("a", from, fmt.Sprintf("%d-%d", round, call)))
				if err != nil || session.Previous != from || session.Generation != uint64(round+1) {
					t.Errorf("RotateSession from %s: %+v, %v", from, session, err)
				}
				currents.Store(session.Current, true)
			})
		}
		wg.Wait()
		n := 0
		currents.Range(func(current, _ any) bool { n++; from = current.(string); return true })
		if n != 1 {
			t.Fatalf("%d tokens instead of one", n)
		}
	}
}

// testSessionParallelReuse checks the results of many concurrent calls with one
// token, without a grace period: one rotates the session, one is a reuse, and
// the others find no session.
func testSessionParallelReuse(t *testing.T, nodes []store.Sessions) {
	const rounds, calls = 10, 20
	for round := range rounds {
		session := newSession(fmt.Sprint(round), "ann")
		begin(t, nodes[0], session)
		var rotated, reused, missing atomic.Int64
		var wg sync.WaitGroup
		for call := range calls {
			wg.Go(func() {
				r := rotation(session.ID, "0", fmt.Sprint("next ", call))
				r.Grace = 0
				switch _, err := nodes[call%len(nodes)].RotateSession(t.Context(), r); {
				case err == nil:
					rotated.Add(1)
				case errors.Is(err, store.ErrReused):
					reused.Add(1)
				case errors.Is(err, store.ErrNotFound):
					missing.Add(1)
				default:
					t.Errorf("RotateSession: %v", err)
				}
			})
		}
		wg.Wait()
		if rotated.Load() != 1 || reused.Load() != 1 || missing.Load() != calls-2 {
			t.Errorf("%d rotated, %d reused, %d found nothing", rotated.Load(), reused.Load(), missing.Load())
		}
		wantNoSession(t, nodes[0], session)
	}
}

// testSessionParallelBegin checks that of many calls that begin the same
// session, one succeeds.
func testSessionParallelBegin(t *testing.T, nodes []store.Sessions) {
	for round := range 10 {
		var started atomic.Int64
		var wg sync.WaitGroup
		for call := range 20 {
			wg.Go(func() {
				switch err := nodes[call%len(nodes)].BeginSession(t.Context(), newSession(fmt.Sprint(round), "ann")); {
				case err == nil:
					started.Add(1)
				case !errors.Is(err, store.ErrInvalid):
					t.Errorf("BeginSession: %v", err)
				}
			})
		}
		wg.Wait()
		if started.Load() != 1 {
			t.Errorf("%d sessions of one ID", started.Load())
		}
	}
}

// testSessionParallelChanges checks that concurrent changes of different
// sessions do not affect each other.
func testSessionParallelChanges(t *testing.T, nodes []store.Sessions) {
	const sessions, steps = 20, 10
	var wg sync.WaitGroup
	for n := range sessions {
		wg.Go(func() {
			s := nodes[n%len(nodes)]
			session := newSession(fmt.Sprintf("%02d", n), "ann")
			if err := s.BeginSession(t.Context(), session); err != nil {
				t.Errorf("BeginSession: %v", err)
			}
			for step := range steps {
				wantRotated(t, s, rotation(session.ID, fmt.Sprint(step), fmt.Sprint(step+1)), fmt.Sprint(step+1))
			}
			if n%2 == 1 {
				if err := s.EndSession(t.Context(), session.Subject, session.ID); err != nil {
					t.Errorf("EndSession: %v", err)
				}
			}
		})
	}
	wg.Wait()
	all, err := nodes[0].ListSessions(t.Context(), "ann")
	if err != nil || len(all) != sessions/2 {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	for i, session := range all {
		if session.ID != fmt.Sprintf("%02d", 2*i) || session.Current != fmt.Sprint(steps) || session.Previous != fmt.Sprint(steps-1) {
			t.Errorf("session %d is %+v", i, session)
		}
	}
}
