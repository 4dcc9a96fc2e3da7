package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// ReadRecord implements [store.Records].
func (s *Store) ReadRecord(ctx context.Context, name string) (store.Record, error) {
	var r store.Record
	err := s.transact(ctx, reading, func(t *transaction) error {
		t.one("select version, value from records where name = $1", []any{[]byte(name)}, &r.Version, &r.Value)
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, err
	}
	return r, nil
}

// WriteRecord implements [store.Records].
func (s *Store) WriteRecord(ctx context.Context, name string, r store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Check(name); err != nil {
		return err
	}
	sql := "update records set version = $2, value = $3 where name = $1 and version = $2 - 1"
	if r.Version == 1 {
		sql = "insert into records (name, version, value) values ($1, $2, $3) on conflict (name) do nothing"
	}
	written := false
	err := s.transact(ctx, confirmed, func(t *transaction) error {
		t.queue(sql, []byte(name), int64(r.Version), append([]byte{}, r.Value...)).Exec(rowsChanged(&written))
		return nil
	})
	if (err == nil || errors.Is(err, store.ErrUnconfirmed)) && !written {
		return store.ErrConflict
	}
	return err
}
