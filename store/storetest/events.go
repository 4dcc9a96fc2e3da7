package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/store"
)

// Log tests the methods that a [store.Log] has in addition to those of
// [store.Revocations]. For the latter, see [Revocations].
func Log[S store.Log](t *testing.T, c Config[S]) {
	spread := func(body func(*testing.T, *spreadLog)) func(*testing.T, S) {
		return func(t *testing.T, s S) { body(t, onAll(c.nodes(t, s))) }
	}
	c.each(t, map[string]func(*testing.T, S){
		"publish":         spread(testPublish),
		"replace":         spread(testReplace),
		"values":          spread(testEventValues),
		"invalid":         spread(testEventInvalid),
		"cancellation":    spread(testEventCancellation),
		"wait":            spread(testEventWait),
		"order":           spread(testEventOrder),
		"D13 pages":       spread(testEventPages),
		"D13 concurrency": spread(testEventConcurrency),
		"expiry":          func(t *testing.T, s S) { testEventExpiry(t, s, onAll(c.nodes(t, s))) },
		"D10 times": func(t *testing.T, s S) {
			for _, node := range c.nodes(t, s) {
				testPageTimes(t, s, node)
			}
		},
	})
	if c.OpenSmall != nil {
		t.Run("full", func(t *testing.T) {
			c.run(t, func(t *testing.T) { testEventFull(t, c.OpenSmall(t)) })
		})
	}
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){"restart": func(t *testing.T, s S) {
			testEventRestart(t, s, func() store.Log { return c.Reopen(t, s) })
		}})
	}
}

// newEvent returns an event that never expires.
func newEvent(id, data string) store.Event {
	return store.Event{Kind: "kind", ID: id, Data: []byte(data), Expires: expires}
}

func publish(t *testing.T, log store.Log, events ...store.Event) {
	t.Helper()
	if err := log.Publish(t.Context(), events...); err != nil {
		t.Fatalf("Publish: %v", err)
	}
}

// readEvents reads all events after a cursor and returns them and the position
// after them.
func readEvents(t *testing.T, log store.Log, after store.Cursor) ([]store.Event, store.Cursor) {
	t.Helper()
	pages := readPages(t, log, after)
	var all []store.Event
	for _, page := range pages {
		all = append(all, page.Events...)
	}
	return all, pages[len(pages)-1].Next
}

// wantEvents asserts which events the log has after a cursor, and returns the
// position after them.
func wantEvents(t *testing.T, log store.Log, after store.Cursor, want ...store.Event) store.Cursor {
	t.Helper()
	got, next := readEvents(t, log, after)
	if !slices.EqualFunc(got, want, sameEvent) {
		t.Errorf("read %.500v\nwant %.500v", got, want)
	}
	return next
}

// sameEvent reports whether got is the canonical form of an event.
func sameEvent(got, want store.Event) bool {
	want, err := want.Canonical()
	return err == nil && got.Kind == want.Kind && got.ID == want.ID && bytes.Equal(got.Data, want.Data) && got.Expires == want.Expires
}

func testPublish(t *testing.T, log *spreadLog) {
	next := wantEvents(t, log, store.Cursor{})
	publish(t, log)
	wantEvents(t, log, next)
	publish(t, log, newEvent("a", "1"))
	middle := wantEvents(t, log, next, newEvent("a", "1"))
	publish(t, log, newEvent("b", "2"), newEvent("c", "3"))
	wantEvents(t, log, middle, newEvent("b", "2"), newEvent("c", "3"))
	wantEvents(t, log, store.Cursor{}, newEvent("a", "1"), newEvent("b", "2"), newEvent("c", "3"))
}

// testReplace checks that an event replaces the earlier one with the same kind
// and ID, even if both are equal, and no other.
func testReplace(t *testing.T, log *spreadLog) {
	other := newEvent("a", "other")
	other.Kind = "other kind"
	publish(t, log, newEvent("a", "1"), newEvent("b", "2"), other)
	next := wantEvents(t, log, store.Cursor{}, newEvent("a", "1"), newEvent("b", "2"), other)
	for _, data := range []string{"3", "3", "4"} {
		publish(t, log, newEvent("a", data))
		next = wantEvents(t, log, next, newEvent("a", data))
		wantEvents(t, log, store.Cursor{}, newEvent("b", "2"), other, newEvent("a", data))
	}
	publish(t, log, newEvent("a", "5"), newEvent("c", "6"), newEvent("a", "7"))
	wantEvents(t, log, next, newEvent("c", "6"), newEvent("a", "7"))
	wantEvents(t, log, store.Cursor{}, newEvent("b", "2"), other, newEvent("c", "6"), newEvent("a", "7"))
}

// testEventValues checks that a log keeps events of any bytes unchanged, even
// if the caller of Publish later modifies its slice.
func testEventValues(t *testing.T, log *spreadLog) {
	events := []store.Event{
		newEvent("empty", ""),
		newEvent("binary", "\x00\xff\n\r\""),
		{Kind: strings.Repeat("k", 32), ID: strings.Repeat("\u00fc", 128), Data: bytes.Repeat([]byte{'x'}, store.MaxEventData), Expires: expires},
		{Kind: "\xff\x00", ID: "\x00", Expires: time.Date(2100, 1, 2, 3, 4, 5, 6_000_001, time.FixedZone("", 3600))},
	}
	publish(t, log, events...)
	next := wantEvents(t, log, store.Cursor{}, events...)
	reused := newEvent("copied", "value")
	publish(t, log, reused)
	copy(reused.Data, "other")
	wantEvents(t, log, next, newEvent("copied", "value"))
}

// testEventInvalid checks that if one event is invalid, none is added.
func testEventInvalid(t *testing.T, log *spreadLog) {
	for name, change := range map[string]func(*store.Event){
		"no Kind":    func(e *store.Event) { e.Kind = "" },
		"long Kind":  func(e *store.Event) { e.Kind = strings.Repeat("k", 33) },
		"no ID":      func(e *store.Event) { e.ID = "" },
		"long ID":    func(e *store.Event) { e.ID = strings.Repeat("i", 257) },
		"long Data":  func(e *store.Event) { e.Data = make([]byte, store.MaxEventData+1) },
		"no Expires": func(e *store.Event) { e.Expires = time.Time{} },
	} {
		bad := newEvent("bad", "")
		change(&bad)
		if err := log.Publish(t.Context(), newEvent("good", ""), bad, newEvent("good too", "")); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	var many []store.Event
	for n := range store.MaxPage + 1 {
		many = append(many, newEvent(fmt.Sprint(n), ""))
	}
	if err := log.Publish(t.Context(), many...); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("too many: %v, want ErrInvalid", err)
	}
	wantEvents(t, log, store.Cursor{})
}

func testEventCancellation(t *testing.T, log *spreadLog) {
	for n := range 100 {
		if err := log.Publish(canceled(t), newEvent(fmt.Sprint(n), "")); !errors.Is(err, context.Canceled) {
			t.Fatalf("Publish: %v", err)
		}
	}
	wantEvents(t, log, store.Cursor{})
}

// testEventWait checks that events wake readers on all nodes.
func testEventWait(t *testing.T, log *spreadLog) {
	next := wantEvents(t, log, store.Cursor{})
	for n := range 10 {
		var readers []<-chan error
		for _, node := range log.nodes {
			readers = append(readers, waiting(t.Context(), node, next))
		}
		e := newEvent("a", fmt.Sprint(n))
		publish(t, log, e)
		for _, reader := range readers {
			if err := <-reader; err != nil {
				t.Errorf("Wait: %v", err)
			}
		}
		next = wantEvents(t, log, next, e)
	}
}
