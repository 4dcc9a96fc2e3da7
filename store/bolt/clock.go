package bolt

import (
	"encoding/binary"
	"errors"
	"time"
)

// clock is what tickets are judged by: what the system's clock showed when the
// store was opened, and the time that has passed since. Whoever sets the
// system's clock changes nothing of it, or a clock that is set back would bring
// tickets back to life that have expired.
type clock struct {
	showed time.Time // without a monotonic reading
	begun  time.Time // with one
}

func newClock() clock {
	now := time.Now()
	return clock{now.Round(0), now}
}

func (c clock) now() time.Time { return c.showed.Add(time.Since(c.begun)) }

// moment is what the clock shows at a moment that a caller has named by the
// system's clock of now, or by its monotonic reading.
func (c clock) moment(t time.Time) time.Time { return c.now().Add(time.Until(t)) }

// revived reports whether a ticket was put at a later moment than now: then
// the system's clock was set back since that run, and nobody knows which
// tickets have expired.
func (t *ticketTable) revived(now time.Time) bool {
	last := t.count.meta.get(ticketClockKey)
	return last != nil && int64(binary.BigEndian.Uint64(last)) > now.UnixMilli()
}

// dropTickets removes all tickets. Who asks for another gets it.
func (t *transaction) dropTickets() error {
	meta := t.tickets.count.meta
	t.tickets.count.n = 0
	return errors.Join(t.tickets.values.clear(t.tx.Tx), t.tickets.expiry.clear(t.tx.Tx), meta.delete(ticketClockKey))
}
