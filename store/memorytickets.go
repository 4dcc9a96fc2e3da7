package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// memoryTickets implements [Tickets] in memory. It keeps the monotonic clock
// reading of each expiry, if there is one, so that no ticket becomes valid
// again when the clock is set back.
type memoryTickets struct {
	ticketLimit int

	ticketMu sync.Mutex
	tickets  shelf[TicketKey, []byte]
}

func newMemoryTickets(limit int) memoryTickets {
	return memoryTickets{ticketLimit: limit, tickets: newShelf[TicketKey, []byte]()}
}

// PutTicket implements [Tickets].
func (m *memoryTickets) PutTicket(ctx context.Context, key TicketKey, value []byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(value) > MaxTicketValue {
		return fmt.Errorf("%w: a ticket of %d bytes", ErrInvalid, len(value))
	}
	m.ticketMu.Lock()
	defer m.ticketMu.Unlock()
	now := time.Now()
	m.sweepTickets(now)
	if _, ok := m.tickets.get(key); ok {
		return fmt.Errorf("%w: a ticket that is there already", ErrInvalid)
	}
	if !expires.After(now) {
		return nil
	}
	if len(m.tickets.items) >= m.ticketLimit {
		return ErrFull
	}
	m.tickets.put(key, bytes.Clone(value), expires)
	return nil
}

// TakeTicket implements [Tickets].
func (m *memoryTickets) TakeTicket(ctx context.Context, key TicketKey) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.ticketMu.Lock()
	defer m.ticketMu.Unlock()
	m.sweepTickets(time.Now())
	value, ok := m.tickets.get(key)
	if !ok {
		return nil, ErrNotFound
	}
	m.tickets.remove(key)
	return value, nil
}

func (m *memoryTickets) sweepTickets(now time.Time) {
	for _, ok := m.tickets.due(now); ok; _, ok = m.tickets.due(now) {
		continue
	}
}
