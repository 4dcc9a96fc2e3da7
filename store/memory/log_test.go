package memory

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
)

func mustRevoke(t *testing.T, log store.Revocations, revocations ...store.Revocation) {
	t.Helper()
	if err := log.Revoke(t.Context(), revocations...); err != nil {
		t.Fatal(err)
	}
}

func inAMinute(id string) store.Revocation {
	return store.Revocation{Target: store.TargetToken, ID: id, Expires: time.Now().Add(time.Minute)}
}

// TestMemoryIsBounded checks that a full log refuses all revocations of a call
// that contains new ones. It accepts those that it already has, and has room
// again when entries are obsolete.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := New(store.Limits{Revocations: 3})
		mustRevoke(t, log, inAMinute("a"), inAMinute("b"))
		if err := log.Revoke(t.Context(), inAMinute("c"), inAMinute("a"), inAMinute("d")); !errors.Is(err, store.ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		mustRevoke(t, log, inAMinute("c"))
		time.Sleep(time.Second)
		mustRevoke(t, log, inAMinute("a"), inAMinute("b"), inAMinute("c"))
		if err := log.Revoke(t.Context(), inAMinute("d")); !errors.Is(err, store.ErrFull) {
			t.Errorf("full: %v", err)
		}
		page, err := log.Read(t.Context(), store.Cursor{})
		if err != nil || len(page.Revocations) != 3 {
			t.Errorf("read %v, %v", page, err)
		}
		time.Sleep(time.Minute + store.ClockSlack)
		mustRevoke(t, log, inAMinute("d"), inAMinute("e"), inAMinute("f"))
	})
}

// TestMemoryForgetsObsoleteEntries checks that replaced and obsolete entries do
// not stay in memory for long.
func TestMemoryForgetsObsoleteEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := New(store.Limits{})
		for i := range 10 * store.MaxPage {
			mustRevoke(t, log, inAMinute("again"), inAMinute(fmt.Sprint(i)))
			time.Sleep(time.Minute)
		}
		entries := int(store.ClockSlack/time.Minute) + 2
		if got := len(log.entries); got > 2*entries+store.MaxPage+2 {
			t.Errorf("%d entries in the log of %d", got, log.current.len())
		}
		if log.current.len() > entries || len(log.current.order) != log.current.len() {
			t.Errorf("%d entries, %d expiries", log.current.len(), len(log.current.order))
		}
	})
}
