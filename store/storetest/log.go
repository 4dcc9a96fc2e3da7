package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsauth/store"
)

func testEmpty(t *testing.T, log store.Revocations) {
	next := wantAfter(t, log, store.Cursor{})
	revoke(t, log)
	wantAfter(t, log, next)
	revoke(t, log, revokeToken("a"))
	wantAfter(t, log, next, revokeToken("a"))
}

func testOrder(t *testing.T, log store.Revocations) {
	now := time.Now().Truncate(time.Millisecond).UTC()
	all := []store.Revocation{
		revokeToken("z"),
		{Target: store.TargetSession, ID: "z", Expires: expires},
		{Target: store.TargetSubject, ID: "z", Before: now, Expires: expires},
		// Expires too early to cover the others.
		{Target: store.TargetAll, Before: now, Expires: expires.Add(-time.Hour)},
		revokeToken("a"),
		{Target: store.TargetSessionless, ID: "z", Before: now, Expires: expires},
		{Target: store.TargetSubject, ID: strings.Repeat("\u00fc", 128), Before: now, Expires: expires},
	}
	revoke(t, log, all[0])
	middle := wantAfter(t, log, store.Cursor{}, all[0])
	revoke(t, log, all[1:3]...)
	revoke(t, log, all[3:]...)
	wantAfter(t, log, store.Cursor{}, all...)
	wantAfter(t, log, middle, all[1:]...)
}

// testCovered checks that a revocation of everything replaces exactly the
// revocations that it covers, whether they are added before it, with it or
// after it.
func testCovered(t *testing.T, log store.Revocations) {
	old := store.NewSessionID(time.Now())
	time.Sleep(2 * time.Millisecond)
	now := time.Now().Truncate(time.Millisecond).UTC()
	time.Sleep(2 * time.Millisecond)
	young := store.NewSessionID(time.Now())
	subject := func(before time.Time) store.Revocation {
		return store.Revocation{Target: store.TargetSubject, ID: "s", Before: before, Expires: expires}
	}
	session := func(id string) store.Revocation {
		return store.Revocation{Target: store.TargetSession, ID: id, Expires: expires}
	}
	everything := store.Revocation{Target: store.TargetAll, Before: now, Expires: expires}

	revoke(t, log, session(old), subject(now), older(old, 7), revokeToken("t"), session("foreign"), session(young), older(young, 7))
	revoke(t, log, everything, session(old), older(old, 8))
	next := wantAfter(t, log, store.Cursor{}, revokeToken("t"), session("foreign"), session(young), older(young, 7), everything)
	revoke(t, log, session(old), subject(now), older(old, 9), everything)
	wantAfter(t, log, next)

	longer := session(old)
	longer.Expires = expires.Add(time.Hour)
	later := subject(now.Add(time.Millisecond))
	revoke(t, log, longer, later)
	next = wantAfter(t, log, next, longer, later)
	everything.Before, everything.Expires = later.Before, longer.Expires
	revoke(t, log, everything)
	wantAfter(t, log, next, everything)
	wantAfter(t, log, store.Cursor{}, revokeToken("t"), session("foreign"), session(young), older(young, 7), everything)
}

// testFull checks that a full log refuses new revocations as a whole, but
// accepts a revocation of everything, which makes room.
func testFull(t *testing.T, log store.Revocations) {
	old := []store.Revocation{
		{Target: store.TargetSession, ID: store.NewSessionID(time.Now()), Expires: expires},
		{Target: store.TargetSession, ID: store.NewSessionID(time.Now()), Expires: expires},
		revokeToken("a"),
	}
	revoke(t, log, old...)
	if err := log.Revoke(t.Context(), old[0], revokeToken("b")); !errors.Is(err, store.ErrFull) {
		t.Errorf("one too many: %v, want ErrFull", err)
	}
	wantAfter(t, log, store.Cursor{}, old...)
	wantUsage(t, log, 3)
	time.Sleep(2 * time.Millisecond)
	everything := store.Revocation{Target: store.TargetAll, Before: time.Now().Truncate(time.Millisecond).UTC(), Expires: expires}
	revoke(t, log, everything)
	revoke(t, log, revokeToken("b"), revokeToken("c"))
	wantAfter(t, log, store.Cursor{}, old[2], everything, revokeToken("b"), revokeToken("c"))
	wantUsage(t, log, 3)
	everything.Before = everything.Before.Add(time.Millisecond)
	revoke(t, log, everything)
	if err := log.Revoke(t.Context(), revokeToken("d")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full again: %v, want ErrFull", err)
	}
}

// wantUsage asserts how many of 3 entries are used, if the log is a
// [store.UsageReporter].
func wantUsage(t *testing.T, log store.Revocations, entries int) {
	t.Helper()
	reporter, ok := log.(store.UsageReporter)
	if !ok {
		return
	}
	usage, err := reporter.RevocationUsage(t.Context())
	if want := (store.Usage{Entries: entries, Limit: 3}); err != nil || usage != want {
		t.Errorf("usage %+v, %v, want %+v", usage, err, want)
	}
}

// testIdempotence checks that an extended revocation appears again at the end
// of the log, that an unchanged one does not, and that no revocation is ever
// shortened.
func testIdempotence(t *testing.T, log store.Revocations) {
	now := time.Now().Truncate(time.Millisecond).UTC()
	first := store.Revocation{Target: store.TargetSubject, ID: "s", Before: now, Expires: expires}
	revoke(t, log, first, first, revokeToken("a"))
	next := wantAfter(t, log, store.Cursor{}, first, revokeToken("a"))

	earlier, shorter := first, first
	earlier.Before = now.Add(-time.Hour)
	shorter.Expires = first.Expires.Add(-time.Second)
	revoke(t, log, first)
	revoke(t, log, earlier, shorter)
	wantAfter(t, log, next)

	later, longer := earlier, shorter
	later.Expires = first.Expires.Add(time.Second)
	longer.Before = now.Add(time.Second)
	revoke(t, log, later)
	want := first
	want.Expires = later.Expires
	next = wantAfter(t, log, next, want)
	revoke(t, log, longer)
	want.Before = longer.Before
	wantAfter(t, log, next, want)
	wantAfter(t, log, store.Cursor{}, revokeToken("a"), want)
}

// older returns a revocation of the tokens of a session that have a lower
// generation.
func older(sid string, generation uint64) store.Revocation {
	return store.Revocation{Target: store.TargetOlder, ID: sid, Generation: generation, Expires: expires}
}

// testOlder checks that a log keeps the highest generation of each session,
// separately from a revocation of the session itself.
func testOlder(t *testing.T, log store.Revocations) {
	const highest = 1<<53 - 1
	session := store.Revocation{Target: store.TargetSession, ID: "a", Expires: expires}
	revoke(t, log, older("a", 5), older("b", highest), older("a", 4))
	next := wantAfter(t, log, store.Cursor{}, older("a", 5), older("b", highest))
	revoke(t, log, older("a", 5), older("b", 1))
	revoke(t, log, older("a", 1))
	wantAfter(t, log, next)

	longer := older("a", 3)
	longer.Expires = expires.Add(time.Hour)
	revoke(t, log, longer)
	longer.Generation = 5
	next = wantAfter(t, log, next, longer)
	revoke(t, log, older("a", 6))
	longer.Generation = 6
	next = wantAfter(t, log, next, longer)
	wantAfter(t, log, store.Cursor{}, older("b", highest), longer)

	revoke(t, log, session)
	wantAfter(t, log, next, session)
}

func testCanonical(t *testing.T, log store.Revocations) {
	before := time.Date(2100, 1, 2, 3, 4, 5, 6_999_999, time.FixedZone("", 3600))
	revoke(t, log, store.Revocation{Target: store.TargetAll, Before: before, Expires: before.Add(time.Hour)})
	wantAfter(t, log, store.Cursor{}, store.Revocation{
		Target:  store.TargetAll,
		Before:  time.Date(2100, 1, 2, 2, 4, 5, 6_000_000, time.UTC),
		Expires: time.Date(2100, 1, 2, 3, 4, 5, 7_000_000, time.UTC),
	})
}

func testInvalid(t *testing.T, log store.Revocations) {
	good := revokeToken("good")
	for name, bad := range map[string][]store.Revocation{
		"target":     {good, {ID: "a", Expires: expires}},
		"no ID":      {good, {Target: store.TargetSession, Expires: expires}},
		"no Expires": {{Target: store.TargetToken, ID: "a"}, good},
		"Before":     {good, {Target: store.TargetToken, ID: "a", Before: expires, Expires: expires}},
		"no Before":  {good, {Target: store.TargetAll, Expires: expires}, good},
		"Generation": {good, {Target: store.TargetSession, ID: "a", Generation: 1, Expires: expires}},
		"too many":   tokens("t", store.MaxPage+1),

		"no Generation": {good, {Target: store.TargetOlder, ID: "a", Expires: expires}},
	} {
		if err := log.Revoke(t.Context(), bad...); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
	wantAfter(t, log, store.Cursor{})
}

// testObsolete checks that obsolete revocations are omitted, but those that
// have only just expired are not, because the clock may be set back.
func testObsolete(t *testing.T, log store.Revocations) {
	gone, expired := revokeToken("gone"), revokeToken("expired")
	gone.Expires = time.Now().Add(-store.ClockSlack - time.Second).Truncate(time.Millisecond).UTC()
	expired.Expires = gone.Expires.Add(time.Minute)
	revoke(t, log, gone, expired)
	revoke(t, log, gone)
	wantAfter(t, log, store.Cursor{}, expired)
}

// testSoonObsolete checks that a revocation disappears when it is obsolete, by
// the store's clock.
func testSoonObsolete(t *testing.T, log store.Revocations) {
	soon := revokeToken("soon")
	soon.Expires = time.Now().Add(50*time.Millisecond - store.ClockSlack)
	revoke(t, log, soon, revokeToken("later"))
	for {
		page, err := log.Read(t.Context(), store.Cursor{})
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if gone := len(page.Revocations) == 1; gone != soon.Obsolete(page.Now) && page.Now.Sub(soon.Expires.Add(store.ClockSlack)).Abs() > time.Millisecond {
			t.Fatalf("%d revocations at %v, one obsolete at %v", len(page.Revocations), page.Now, soon.Expires.Add(store.ClockSlack))
		} else if gone {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	next := wantAfter(t, log, store.Cursor{}, revokeToken("later"))
	revoke(t, log, soon)
	wantAfter(t, log, next)
}

// testExpiry checks that a revocation disappears when it is obsolete, and not
// earlier.
func testExpiry(t *testing.T, log store.Revocations) {
	short, long, longer := revokeToken("short"), revokeToken("long"), revokeToken("longer")
	short.Expires = time.Now().Add(time.Minute).Truncate(time.Millisecond).UTC()
	longer.Expires = short.Expires
	long.Expires = short.Expires.Add(time.Hour)
	revoke(t, log, short, long, longer)
	longer.Expires = long.Expires
	revoke(t, log, longer)
	next := wantAfter(t, log, store.Cursor{}, short, long, longer)

	time.Sleep(time.Until(short.Expires) + store.ClockSlack - time.Millisecond)
	wantAfter(t, log, store.Cursor{}, short, long, longer)
	time.Sleep(time.Millisecond)
	wantAfter(t, log, store.Cursor{}, long, longer)
	time.Sleep(time.Until(long.Expires) + store.ClockSlack)
	wantAfter(t, log, store.Cursor{})
	wantAfter(t, log, next)

	again := revokeToken("short")
	revoke(t, log, again)
	wantAfter(t, log, next, again)
}

func testPaging(t *testing.T, log store.Revocations) {
	all := tokens("t", 2*store.MaxPage+1)
	for i := 0; i < len(all); i += store.MaxPage {
		revoke(t, log, all[i:min(i+store.MaxPage, len(all))]...)
	}
	next := wantAfter(t, log, store.Cursor{}, all...)
	wantAfter(t, log, next)

	page, err := log.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != store.MaxPage {
		t.Fatalf("a page of %d, %v, want it full", len(page.Revocations), err)
	}
	// A revocation that moves to the end before a reader reaches it is read
	// once.
	moved := all[len(all)-2]
	moved.Expires = moved.Expires.Add(time.Second)
	revoke(t, log, moved)
	want := append(append([]store.Revocation{}, all[store.MaxPage:len(all)-2]...), all[len(all)-1], moved)
	wantAfter(t, log, page.Next, want...)
}

// testCursors checks that a cursor beyond the end of the log, or with another
// epoch, is refused.
func testCursors(t *testing.T, log store.Revocations) {
	revoke(t, log, revokeToken("a"))
	next := wantAfter(t, log, store.Cursor{}, revokeToken("a"))
	ahead, other, nameless := next, next, next
	ahead.Sequence += 1 << 32
	other.Epoch += "x"
	nameless.Epoch = ""
	for _, cursor := range []store.Cursor{ahead, other, nameless} {
		if page, err := log.Read(t.Context(), cursor); !errors.Is(err, store.ErrCursor) {
			t.Errorf("Read after %v: %v, %v, want ErrCursor", cursor, page, err)
		}
		if err := log.Wait(t.Context(), cursor); !errors.Is(err, store.ErrCursor) {
			t.Errorf("Wait after %v: %v, want ErrCursor", cursor, err)
		}
	}
}

// testAnotherLog checks that a cursor is not valid for another log with the
// same content.
func testAnotherLog(t *testing.T, one, other store.Revocations) {
	revoke(t, one, revokeToken("a"))
	revoke(t, other, revokeToken("a"))
	next := wantAfter(t, one, store.Cursor{}, revokeToken("a"))
	if _, err := other.Read(t.Context(), next); !errors.Is(err, store.ErrCursor) {
		t.Errorf("Read: %v, want ErrCursor", err)
	}
}

// tokens returns revocations of n tokens.
func tokens(prefix string, n int) []store.Revocation {
	all := make([]store.Revocation, n)
	for i := range all {
		all[i] = store.Revocation{Target: store.TargetToken, ID: fmt.Sprintf("%s-%d", prefix, i), Expires: expires}
	}
	return all
}
