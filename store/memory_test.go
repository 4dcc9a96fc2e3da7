package store

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemoryIsBounded: a full log refuses what is new, all of it, takes what
// it has already, and has room again when entries are gone.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := NewMemory(3)
		mustRevoke(t, log, inAMinute("a"), inAMinute("b"))
		if err := log.Revoke(t.Context(), inAMinute("c"), inAMinute("a"), inAMinute("d")); !errors.Is(err, ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		mustRevoke(t, log, inAMinute("c"))
		time.Sleep(time.Second)
		mustRevoke(t, log, inAMinute("a"), inAMinute("b"), inAMinute("c"))
		if err := log.Revoke(t.Context(), inAMinute("d")); !errors.Is(err, ErrFull) {
			t.Errorf("full: %v", err)
		}
		page, err := log.Read(t.Context(), Cursor{})
		if err != nil || len(page.Revocations) != 3 {
			t.Errorf("read %v, %v", page, err)
		}
		time.Sleep(time.Minute + ClockSlack)
		mustRevoke(t, log, inAMinute("d"), inAMinute("e"), inAMinute("f"))
	})
}

// TestMemoryForgetsWhatIsDead: replaced entries and those that are gone take
// no memory for long.
func TestMemoryForgetsWhatIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := NewMemory(0)
		for i := range 10 * MaxPage {
			mustRevoke(t, log, inAMinute("again"), inAMinute(fmt.Sprint(i)))
			time.Sleep(time.Minute)
		}
		entries := int(ClockSlack/time.Minute) + 2
		if got := len(log.log); got > 2*entries+MaxPage+2 {
			t.Errorf("%d entries in the log of %d", got, len(log.entries))
		}
		if len(log.entries) > entries || len(log.expires.heap) != len(log.entries) {
			t.Errorf("%d entries, %d expiries", len(log.entries), len(log.expires.heap))
		}
	})
}
