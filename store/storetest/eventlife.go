package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"wsauth/store"
)

// testEventOrder checks that events and revocations have a common order: a
// cursor between two entries is after the first and before the second.
func testEventOrder(t *testing.T, log *spreadLog) {
	next := wantEvents(t, log, store.Cursor{})
	var after []store.Cursor
	for n := range 5 {
		publish(t, log, newEvent(fmt.Sprint(n), ""))
		after = append(after, wantEvents(t, log, next, newEvent(fmt.Sprint(n), "")))
		revoke(t, log, revokeToken(fmt.Sprint(n)))
		next = wantAfter(t, log, after[n], revokeToken(fmt.Sprint(n)))
	}
	for n, cursor := range after {
		var events []store.Event
		var revocations []store.Revocation
		for later := n; later < len(after); later++ {
			revocations = append(revocations, revokeToken(fmt.Sprint(later)))
			if later > n {
				events = append(events, newEvent(fmt.Sprint(later), ""))
			}
		}
		wantAfter(t, log, cursor, revocations...)
		wantEvents(t, log, cursor, events...)
	}
}

// testEventPages checks that a page has at most MaxPage entries, revocations
// and events together, and that End is set only on the last page.
func testEventPages(t *testing.T, log *spreadLog) {
	revoke(t, log, tokens("first", store.MaxPage-1)...)
	publish(t, log, newEvent("a", "1"))
	wantCounts(t, log, [2]int{store.MaxPage - 1, 1})
	revoke(t, log, revokeToken("b"))
	wantCounts(t, log, [2]int{store.MaxPage - 1, 1}, [2]int{1, 0})
	publish(t, log, newEvent("a", "2"))
	wantCounts(t, log, [2]int{store.MaxPage, 0}, [2]int{0, 1})
	var many []store.Event
	for n := range store.MaxPage {
		many = append(many, newEvent(fmt.Sprint("many-", n), "data"))
	}
	publish(t, log, many...)
	revoke(t, log, tokens("last", 500)...)
	wantCounts(t, log, [2]int{store.MaxPage, 0}, [2]int{0, store.MaxPage}, [2]int{500, 1})
}

// wantCounts asserts how many revocations and events each page of a log has.
func wantCounts(t *testing.T, log store.Revocations, want ...[2]int) {
	t.Helper()
	var got [][2]int
	for _, page := range readPages(t, log, store.Cursor{}) {
		got = append(got, [2]int{len(page.Revocations), len(page.Events)})
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("pages of %v revocations and events, want %v", got, want)
	}
}

// testEventExpiry checks that an event disappears when it expires, and not
// earlier, and that an expired one is not added.
func testEventExpiry(t *testing.T, clock any, log *spreadLog) {
	for round := range 5 {
		short := newEvent(fmt.Sprint(round), "short")
		short.Expires = now(t, clock).Add(50 * time.Millisecond)
		publish(t, log, short, newEvent("long", fmt.Sprint(round)))
		for {
			page, err := log.Read(t.Context(), store.Cursor{})
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			if len(page.Events) == 2 {
				if short.Expires.Before(page.Now.Add(-time.Millisecond)) {
					t.Errorf("read at %v, expired at %v", page.Now, short.Expires)
				}
				time.Sleep(5 * time.Millisecond)
				continue
			}
			if page.Now.Before(short.Expires.Add(-time.Millisecond)) {
				t.Errorf("gone at %v, expires at %v", page.Now, short.Expires)
			}
			break
		}
		next := wantEvents(t, log, store.Cursor{}, newEvent("long", fmt.Sprint(round)))
		publish(t, log, short)
		publish(t, log, short, newEvent("long", "next"))
		wantEvents(t, log, next, newEvent("long", "next"))
	}
}

// testPageTimes checks that Page.Now is the time at which the page was read,
// and that Page.Known is not later and advances.
func testPageTimes(t *testing.T, clock any, log store.Revocations) {
	var cursor store.Cursor
	var first, last store.Page
	for deadline := time.Now().Add(30 * time.Second); ; {
		before := now(t, clock)
		page, err := log.Read(t.Context(), cursor)
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		wantBetween(t, "Page.Now", page.Now, before, now(t, clock))
		switch {
		case page.Known.After(page.Now):
			t.Errorf("Known is %v, after Now, %v", page.Known, page.Now)
		case page.Known.Before(last.Known):
			t.Errorf("Known is %v, and was %v", page.Known, last.Known)
		case !page.Known.IsZero() && first.Known.IsZero():
			first = page
		case page.Known.After(first.Known):
			return
		case time.Now().After(deadline):
			t.Fatalf("Known is %v after 30 s, and was %v", page.Known, first.Known)
		}
		cursor, last = page.Next, page
		time.Sleep(5 * time.Millisecond)
	}
}

// testEventFull checks that a full log refuses new events as a whole, accepts
// those that replace others, and has room again when events have expired.
// Revocations have a separate limit.
func testEventFull(t *testing.T, log store.Log) {
	publish(t, log, newEvent("a", "1"), newEvent("b", "2"), newEvent("c", "3"))
	next := wantEvents(t, log, store.Cursor{}, newEvent("a", "1"), newEvent("b", "2"), newEvent("c", "3"))
	if err := log.Publish(t.Context(), newEvent("a", "4"), newEvent("d", "5")); !errors.Is(err, store.ErrFull) {
		t.Errorf("one too many: %v, want ErrFull", err)
	}
	wantEvents(t, log, next)
	publish(t, log, newEvent("b", "6"))
	next = wantEvents(t, log, next, newEvent("b", "6"))
	revoke(t, log, tokens("t", 3)...)

	short := newEvent("a", "7")
	short.Expires = now(t, log).Add(300 * time.Millisecond)
	publish(t, log, short)
	passed(t, log, short.Expires)
	publish(t, log, newEvent("d", "8"))
	wantEvents(t, log, next, newEvent("d", "8"))
	if err := log.Publish(t.Context(), newEvent("e", "9")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full again: %v, want ErrFull", err)
	}
}

// testEventConcurrency runs many publishers and readers on all nodes. Each
// reader must see each event once, each group as a whole, and the groups of
// each publisher in order.
func testEventConcurrency(t *testing.T, log *spreadLog) {
	const publishers, groups, size = 6, 20, 3
	name := func(publisher, group, n int) string { return fmt.Sprintf("%d-%d-%d", publisher, group, n) }
	var wg sync.WaitGroup
	seen := make([]map[string]int, 6)
	for reader := range seen {
		wg.Go(func() { seen[reader] = followEvents(t, log.nodes[reader%3], publishers*groups*size) })
	}
	for publisher := range publishers {
		wg.Go(func() {
			for group := range groups {
				var events []store.Event
				for n := range size {
					events = append(events, newEvent(name(publisher, group, n), "data"))
				}
				if err := log.Publish(t.Context(), events...); err != nil {
					t.Errorf("Publish: %v", err)
				}
				if err := log.Revoke(t.Context(), revokeToken(name(publisher, group, 0))); err != nil {
					t.Errorf("Revoke: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for reader, seen := range seen {
		for publisher := range publishers {
			last := -1
			for group := range groups {
				for n := range size {
					at, ok := seen[name(publisher, group, n)]
					if !ok || at <= last || n > 0 && at != last+1 {
						t.Errorf("reader %d: event %s is at %d, %v, after %d", reader, name(publisher, group, n), at, ok, last)
					}
					last = at
				}
			}
		}
	}
}

// followEvents reads the log as it grows, until it has seen n events. It
// returns the position of each ID among the events, and fails if one is
// repeated.
func followEvents(t *testing.T, log store.Revocations, n int) map[string]int {
	seen := map[string]int{}
	var cursor store.Cursor
	for {
		page, err := log.Read(t.Context(), cursor)
		if err != nil {
			t.Errorf("Read: %v", err)
			return seen
		}
		for _, e := range page.Events {
			if _, ok := seen[e.ID]; ok {
				t.Errorf("%s came twice", e.ID)
			}
			seen[e.ID] = len(seen)
		}
		if len(seen) >= n {
			return seen
		}
		cursor = page.Next
		if err := log.Wait(t.Context(), cursor); err != nil {
			t.Errorf("Wait: %v", err)
			return seen
		}
	}
}

// testEventRestart checks that a reopened log has its events, and that cursors
// remain valid.
func testEventRestart(t *testing.T, log store.Log, reopen func() store.Log) {
	publish(t, log, newEvent("a", "1"))
	next := wantEvents(t, log, store.Cursor{}, newEvent("a", "1"))
	publish(t, log, newEvent("b", "2"))
	log = reopen()
	wantEvents(t, log, store.Cursor{}, newEvent("a", "1"), newEvent("b", "2"))
	next = wantEvents(t, log, next, newEvent("b", "2"))
	publish(t, log, newEvent("a", "3"))
	wantEvents(t, log, next, newEvent("a", "3"))
}
