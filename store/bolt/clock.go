package bolt

import (
	"encoding/binary"
	"errors"
	"time"
)

// clock decides whether tickets have expired. It shows the time of the system
// clock when the store was opened, plus the time elapsed since. Setting the
// system clock does not affect it; otherwise expired tickets would become
// valid again when that is set back.
type clock struct {
	showed  time.Time // the system clock, without a monotonic reading
	started time.Time // the same time, with a monotonic reading
}

func newClock() clock {
	now := time.Now()
	return clock{now.Round(0), now}
}

func (c clock) now() time.Time { return c.showed.Add(time.Since(c.started)) }

// moment converts a time of the system clock, or one with a monotonic reading,
// to this clock.
func (c clock) moment(t time.Time) time.Time { return c.now().Add(time.Until(t)) }

// revived reports whether a ticket was put at a time later than now. Then the
// system clock was set back since the previous run, and it is unknown which
// tickets have expired.
func (t *ticketTable) revived(now time.Time) bool {
	last := t.count.meta.get(ticketClockKey)
	return last != nil && int64(binary.BigEndian.Uint64(last)) > now.UnixMilli()
}

// dropTickets removes all tickets. Clients can request new ones.
func (t *transaction) dropTickets() error {
	meta := t.tickets.count.meta
	t.tickets.count.n = 0
	return errors.Join(t.tickets.values.clear(t.tx.Tx), t.tickets.expiry.clear(t.tx.Tx), meta.delete(ticketClockKey))
}
