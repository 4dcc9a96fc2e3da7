package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// take takes a token from a bucket ($1) that gets one every $2 microseconds. An
// empty bucket is full after $3 microseconds. A bucket is stored as the time at
// which it is full; each token that is taken delays that by $2. A full bucket
// needs no row.
const take = `
insert into buckets as b (key, full_at) select $1, now + $2::bigint from clock
on conflict (key) do update set full_at = greatest(b.full_at + $2::bigint, excluded.full_at)
	where b.full_at + $2::bigint <= excluded.full_at - $2::bigint + $3::bigint`

// Take implements [store.Buckets].
func (s *Store) Take(ctx context.Context, key string, interval time.Duration, burst int) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckBucket(key, interval, burst); err != nil {
		return 0, err
	}
	every := interval.Microseconds()
	taken := false
	var until int64 // time until the bucket is full, in microseconds
	err := s.transact(ctx, relaxed, func(t *transaction) error {
		t.queue(take, []byte(key), every, every*int64(burst)).Exec(rowsChanged(&taken))
		t.queue("select full_at - now from buckets, clock where key = $1", []byte(key)).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				if err := rows.Scan(&until); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		return nil
	})
	s.wrote()
	if err != nil || taken {
		return 0, err
	}
	return max(time.Duration(until+every-every*int64(burst)), 1) * time.Microsecond, nil
}

// Refill implements [store.Buckets].
func (s *Store) Refill(ctx context.Context, key string) error {
	return s.transact(ctx, relaxed, func(t *transaction) error {
		t.queue("delete from buckets where key = $1", []byte(key))
		return nil
	})
}
