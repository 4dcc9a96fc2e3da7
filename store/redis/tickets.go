package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"wsauth/store"
)

var (
	putTicketScript  = newScript(false, "putticket")
	takeTicketScript = newScript(false, "taketicket")
)

// lastMillisecond is the latest expiry that is sent to the engine, in
// milliseconds since 1970: the end of the year 9999.
const lastMillisecond = 253402300799999

// milliseconds returns t in milliseconds since 1970, as text.
func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// PutTicket implements [store.Tickets].
func (s *Store) PutTicket(ctx context.Context, key store.TicketKey, value []byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(value) > store.MaxTicketValue {
		return fmt.Errorf("%w: a ticket of %d bytes", store.ErrInvalid, len(value))
	}
	if expires.Year() > 9999 {
		expires = time.UnixMilli(lastMillisecond)
	}
	answer, err := s.run(ctx, putTicketScript, s.keys.ticket(key), string(value), milliseconds(expires), s.tickets.full())
	switch {
	case err != nil:
		return err
	case len(answer) != 1:
		return errAnswer
	}
	switch answer[0] {
	case "OK":
		s.tickets.add(expires, 1)
		return nil
	case "EXPIRED":
		return nil
	case "EXISTS":
		return fmt.Errorf("%w: the ticket exists", store.ErrInvalid)
	case "FULL":
		return store.ErrFull
	}
	return errAnswer
}

// TakeTicket implements [store.Tickets]. A ticket that was put before its
// server was replaced by a replica is not valid: the replica may not know that
// it was taken.
func (s *Store) TakeTicket(ctx context.Context, key store.TicketKey) ([]byte, error) {
	answer, err := s.run(ctx, takeTicketScript, s.keys.ticket(key))
	if err != nil {
		return nil, err
	}
	value, expires, err := decodeTicket(answer)
	if !expires.IsZero() {
		s.tickets.add(expires, -1)
	}
	return value, err
}

// decodeTicket decodes a ticket that was taken. expires is set if the ticket
// existed, even if it is void.
func decodeTicket(answer []string) (value []byte, expires time.Time, err error) {
	if len(answer) == 1 && answer[0] == "NONE" {
		return nil, time.Time{}, store.ErrNotFound
	}
	if len(answer) != 3 || answer[0] != "OK" && answer[0] != "VOID" {
		return nil, time.Time{}, errAnswer
	}
	at := numbers(answer[2])
	if at == nil {
		return nil, time.Time{}, errAnswer
	}
	expires = time.UnixMilli(int64(at[0]))
	if answer[0] == "VOID" {
		return nil, expires, store.ErrNotFound
	}
	return []byte(answer[1]), expires, nil
}
