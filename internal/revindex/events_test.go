package revindex

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
)

// eventFor returns an event that expires after some time.
func eventFor(id string, lives time.Duration) store.Event {
	return store.Event{Kind: "kind " + id, ID: id, Data: []byte("data"), Expires: time.Now().Add(lives)}
}

func mustPublish(t *testing.T, log store.Log, events ...store.Event) {
	t.Helper()
	if err := log.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// TestOnEvent checks that each event in the log is delivered once, in order,
// and before the revocations of its page. Its kind does not matter, nor whether
// the log had it before the index started.
func TestOnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		var got []string
		mustPublish(t, log, eventFor("a", time.Minute), eventFor("gone", time.Second))
		mustRevoke(t, log, inAMinute("r"))
		mustPublish(t, log, eventFor("b", time.Minute))
		time.Sleep(time.Second)
		x := startIndex(t, Config{
			Log:      log,
			OnEvent:  func(e store.Event) { got = append(got, e.ID) },
			OnRevoke: func(r store.Revocation) { got = append(got, "revoked "+r.ID) },
		})
		want := []string{"a", "b", "revoked r"}
		check := func() {
			t.Helper()
			if synctest.Wait(); !slices.Equal(got, want) {
				t.Errorf("got %.200v, want %.200v", fmt.Sprint(got), fmt.Sprint(want))
			}
		}
		check()
		again := eventFor("a", time.Minute)
		for range 2 { // equal ones are two events
			mustPublish(t, log, again)
			want = append(want, "a")
			check()
		}
		for n := range 2*store.MaxPage + 1 {
			mustPublish(t, log, eventFor(fmt.Sprint(n), time.Minute))
			want = append(want, fmt.Sprint(n))
		}
		time.Sleep(10 * time.Second)
		check()
		time.Sleep(time.Minute)
		for n := range 3 * store.MaxPage {
			mustPublish(t, log, eventFor(fmt.Sprint("later-", n), time.Minute))
			want = append(want, fmt.Sprint("later-", n))
		}
		check()
		if n := len(x.delivered.expires); n > 3*store.MaxPage {
			t.Errorf("%d deliveries are kept", n)
		}
	})
}

// TestOnEventAfterAFailover checks that events that the index reads again from
// a replaced log are not delivered again, and new ones are.
func TestOnEventAfterAFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		var got []string
		x := startIndex(t, Config{Log: log, OnEvent: func(e store.Event) { got = append(got, e.ID+string(e.Data)) }})
		first, second := eventFor("a", time.Hour), eventFor("b", time.Hour)
		mustPublish(t, log, first, second)
		synctest.Wait()
		newer := first
		newer.Data = []byte(" newer")
		mustPublish(t, log, newer)
		synctest.Wait()
		want := []string{"adata", "bdata", "a newer"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for n := range 2 {
			replica := memory.New(store.Limits{})
			mustPublish(t, replica, first, second, eventFor(fmt.Sprint("missed-", n), time.Hour))
			log.change(func(f *faulty) { f.log = replica })
			time.Sleep(maxBackoff + contactEvery)
			want = append(want, fmt.Sprint("missed-", n, "data"))
			mustPublish(t, log, second)
			synctest.Wait()
			if want = append(want, "bdata"); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		if age := time.Since(x.Contact()); age > contactEvery {
			t.Errorf("contact %v ago", age)
		}
	})
}

// TestDeliveriesAreBounded checks that deliveries of expired events are
// forgotten.
func TestDeliveriesAreBounded(t *testing.T) {
	now := time.Now()
	d := newDeliveries()
	for n := range 100 * minPruneAt {
		e := store.Event{Kind: "k", ID: fmt.Sprint(n), Expires: now.Add(time.Second)}
		if !d.add(e) || d.add(e) {
			t.Fatalf("%s is not new, or new twice", e.ID)
		}
		now = now.Add(time.Millisecond)
		d.prune(now)
	}
	if n := len(d.expires); n > 2*minPruneAt {
		t.Errorf("%d are kept", n)
	}
}
