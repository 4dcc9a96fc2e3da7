package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// shards is the number of rows that each kind has in the table totals.
const shards = 32

// shard returns a random row of totals, to which a change is added.
func shard() int { return rand.N(shards) } //nolint:gosec // spreads changes, keeps no secret

// putTicket stores a ticket, unless a valid one has the same key ($1), it has
// expired ($2), or there are $4 tickets. $5 is the shard.
const putTicket = `
with now as (
	select now / 1000 as ms, (select epoch from epoch) as epoch, (select sum(n) from totals where kind = 'tickets') as tickets from clock
), taken as (
	select t.key from tickets t, now where t.key = $1 and t.expires > now.ms and t.epoch = now.epoch
), put as (
	insert into tickets as t (key, epoch, expires, value)
	select $1, now.epoch, $2::bigint, $3::bytea from now
	where $2::bigint > now.ms and tickets < $4 and not exists (select from taken)
	on conflict (key) do update set epoch = excluded.epoch, expires = excluded.expires, value = excluded.value
		where t.expires <= (select ms from now) or t.epoch <> excluded.epoch
	returning xmax = 0 as added
), counted as (
	update totals set n = n + 1 where kind = 'tickets' and shard = $5 and exists (select from put where added)
)
select exists (select from put), $2::bigint <= now.ms, tickets >= $4 and not exists (select from taken) from now`

// takeTicket deletes a ticket ($1) and returns it if it is valid. A ticket of
// an earlier epoch may have been taken already, so it is not valid. $2 is the
// shard.
const takeTicket = `
with gone as (
	delete from tickets where key = $1 returning value, expires, epoch
), counted as (
	update totals set n = n - 1 where kind = 'tickets' and shard = $2 and exists (select from gone)
)
select value from gone where expires > (select now / 1000 from clock) and epoch = (select epoch from epoch)`

// PutTicket implements [store.Tickets].
func (s *Store) PutTicket(ctx context.Context, key store.TicketKey, value []byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(value) > store.MaxTicketValue {
		return fmt.Errorf("%w: a ticket of %d bytes", store.ErrInvalid, len(value))
	}
	value = append([]byte{}, value...) // not nil, and not the caller's
	err := s.putTicket(ctx, key, value, expires)
	if err == store.ErrFull { //nolint:errorlint // putTicket returns it as it is
		if swept, failed := s.sweepTable(ctx, ticketTable); failed != nil || swept == 0 {
			return cmp.Or(failed, err)
		}
		err = s.putTicket(ctx, key, value, expires)
	}
	s.wrote()
	return err
}

// putTicket is like PutTicket, but does not make room.
func (s *Store) putTicket(ctx context.Context, key store.TicketKey, value []byte, expires time.Time) error {
	var put, expired, full bool
	err := s.transact(ctx, relaxed, func(t *transaction) error {
		t.one(putTicket, []any{key[:], millis(expires), value, s.config.Limits.Tickets, shard()}, &put, &expired, &full)
		return nil
	})
	switch {
	case err != nil || put:
		return err
	case full && !expired:
		return store.ErrFull
	case expired:
		return nil
	}
	return fmt.Errorf("%w: the ticket exists", store.ErrInvalid)
}

// millis returns t in milliseconds since 1970, rounded down, in the range of
// the column.
func millis(t time.Time) int64 {
	if t.Year() > 9999 {
		return math.MaxInt64 / 2
	}
	return t.UnixMilli()
}

// TakeTicket implements [store.Tickets].
func (s *Store) TakeTicket(ctx context.Context, key store.TicketKey) ([]byte, error) {
	var value []byte
	err := s.transact(ctx, local, func(t *transaction) error {
		t.queue(takeTicket, key[:], shard()).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				if err := rows.Scan(&value); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, store.ErrNotFound
	}
	return value, nil
}
