package memory

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"wsauth/store"
)

// tickets implements [store.Tickets]. It keeps the monotonic clock reading of
// each expiry, if the time has one, so that no ticket becomes valid again when
// the clock is set back.
type tickets struct {
	limit int

	mu     sync.Mutex
	values expiringMap[store.TicketKey, []byte]
}

func newTickets(limit int) tickets {
	return tickets{limit: limit, values: newExpiringMap[store.TicketKey, []byte]()}
}

// PutTicket implements [store.Tickets].
func (t *tickets) PutTicket(ctx context.Context, key store.TicketKey, value []byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(value) > store.MaxTicketValue {
		return fmt.Errorf("%w: a ticket of %d bytes", store.ErrInvalid, len(value))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.values.sweep(now)
	if _, ok := t.values.get(key); ok {
		return fmt.Errorf("%w: the ticket exists", store.ErrInvalid)
	}
	if !expires.After(now) {
		return nil
	}
	if t.values.len() >= t.limit {
		return store.ErrFull
	}
	t.values.put(key, bytes.Clone(value), expires)
	return nil
}

// TakeTicket implements [store.Tickets].
func (t *tickets) TakeTicket(ctx context.Context, key store.TicketKey) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.values.sweep(time.Now())
	value, ok := t.values.get(key)
	if !ok {
		return nil, store.ErrNotFound
	}
	t.values.remove(key)
	return value, nil
}
