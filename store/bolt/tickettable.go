package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"wsauth/store"
)

// ticketTable accesses the tickets within one transaction. All times are those
// of the store's [clock].
type ticketTable struct {
	values, expiry *table
	count          counter
}

func openTickets(tx *checkedTx) *ticketTable {
	return &ticketTable{
		values: openTable(tx, ticketsBucket),
		expiry: openTable(tx, ticketExpiryBucket),
		count:  openCounter(tx, ticketCountKey),
	}
}

// put adds a ticket, unless it has already expired.
func (t *ticketTable) put(key store.TicketKey, ticket ticket, now time.Time, limit int) error {
	if data := t.values.get(key[:]); data != nil {
		old, err := decodeTicket(data)
		if err != nil {
			return err
		}
		if old.expires.After(now) {
			return fmt.Errorf("%w: the ticket exists", store.ErrInvalid)
		}
		if err := t.remove(key[:], old); err != nil {
			return err
		}
	}
	if !ticket.expires.After(now) {
		return nil
	}
	if err := t.count.makeRoom(limit, now, t.sweep); err != nil {
		return err
	}
	t.count.n++
	return errors.Join(
		t.values.put(key[:], ticket.encode()),
		t.expiry.put(expiryKey(ticket.expires, key[:]), nil),
		t.count.meta.put(ticketClockKey, number(uint64(now.UnixMilli()))),
	)
}

// get returns a ticket that has not expired, or [store.ErrNotFound].
func (t *ticketTable) get(key store.TicketKey, now time.Time) (ticket, error) {
	data := t.values.get(key[:])
	if data == nil {
		return ticket{}, store.ErrNotFound
	}
	found, err := decodeTicket(data)
	if err == nil && !found.expires.After(now) {
		return ticket{}, store.ErrNotFound
	}
	return found, err
}

// take removes a ticket and returns its value.
func (t *ticketTable) take(key store.TicketKey, now time.Time) ([]byte, error) {
	found, err := t.get(key, now)
	if err != nil {
		return nil, err
	}
	return found.value, t.remove(key[:], found)
}

func (t *ticketTable) remove(key []byte, old ticket) error {
	t.count.n--
	return errors.Join(t.values.delete(key), t.expiry.delete(expiryKey(old.expires, key)))
}

// due reports whether any ticket has expired.
func (t *ticketTable) due(now time.Time) bool { return len(firstDue(t.expiry, now, 1)) > 0 }

// sweep deletes up to limit tickets that have expired.
func (t *ticketTable) sweep(now time.Time, limit int) error {
	for _, key := range firstDue(t.expiry, now, limit) {
		old, err := decodeTicket(t.values.get(key))
		if err != nil {
			return err
		}
		if err := t.remove(key, old); err != nil {
			return err
		}
	}
	return nil
}

// A ticket is a stored ticket. It is encoded as its expiry in milliseconds
// since 1970, followed by its value.
type ticket struct {
	expires time.Time
	value   []byte
}

func (t ticket) encode() []byte {
	return append(number(uint64(t.expires.UnixMilli())), t.value...)
}

// decodeTicket decodes a ticket. The value is a copy.
func decodeTicket(data []byte) (ticket, error) {
	if len(data) < 8 || len(data) > 8+store.MaxTicketValue {
		return ticket{}, damaged("a ticket of %d bytes", len(data))
	}
	return ticket{
		expires: time.UnixMilli(int64(binary.BigEndian.Uint64(data))),
		value:   append([]byte{}, data[8:]...),
	}, nil
}

// A clock decides when tickets expire. Its time is that of the system clock
// when the store was opened, plus the time elapsed since. Setting the system
// clock does not affect it. Otherwise expired tickets would become valid again
// when the system clock is set back.
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

// revived reports whether a ticket was put at a time later than now. If so, the
// system clock has been set back since the previous run, and it is unknown
// which tickets have expired.
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
