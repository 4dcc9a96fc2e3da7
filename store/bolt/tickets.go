package bolt

import (
	"context"
	"fmt"
	"time"

	"wsauth/store"
)

// PutTicket implements [store.Tickets]. It returns nil after the ticket has
// been synced to disk.
func (s *Store) PutTicket(ctx context.Context, key store.TicketKey, value []byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(value) > store.MaxTicketValue {
		return fmt.Errorf("%w: a ticket of %d bytes", store.ErrInvalid, len(value))
	}
	// Copy the value, because the write may still be running when this call has
	// returned.
	kept, err := decodeTicket(ticket{s.clock.moment(expires), value}.encode())
	if err != nil {
		return err
	}
	return s.writer.write(ctx, func(t *transaction) error {
		return t.tickets.put(key, kept, s.clock.now(), s.limits.Tickets)
	})
}

// TakeTicket implements [store.Tickets]. It returns a value after the removal
// of the ticket has been synced to disk.
func (s *Store) TakeTicket(ctx context.Context, key store.TicketKey) (value []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Read first: a client that guesses tickets must not cause syncs.
	err = s.db.view(func(tx *checkedTx) error {
		_, err := openTickets(tx).get(key, s.clock.now())
		return err
	})
	if err == nil && s.writer.preparation.revived.Load() {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, wrap(err)
	}
	var taken []byte
	err = s.writer.write(ctx, func(t *transaction) (err error) {
		taken, err = t.tickets.take(key, s.clock.now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}
