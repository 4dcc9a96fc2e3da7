package postgres

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// addNode stores a node ($1, $2) with a lease of $3 microseconds, or extends
// its lease.
const addNode = `
insert into nodes as n (id, data, started, until) select $1, $2, now, now + $3 from clock
on conflict (id) do update set data = excluded.data, until = excluded.until where n.until > (select now from clock)
returning started, until`

// extendNode extends the lease of a node, unless it has ended.
const extendNode = `
update nodes set data = $2, until = (select now from clock) + $3 where id = $1 and until > (select now from clock)
returning started, until`

// KeepNode implements [store.Nodes].
func (s *Store) KeepNode(ctx context.Context, n store.Node, ttl time.Duration) (store.Node, error) {
	if err := ctx.Err(); err != nil {
		return store.Node{}, err
	}
	if err := n.Check(ttl); err != nil {
		return store.Node{}, err
	}
	n.Data = append([]byte{}, n.Data...)
	var started, until int64
	err := s.transact(ctx, relaxed, func(t *transaction) error {
		sql := extendNode
		if n.Started.IsZero() {
			sql = addNode
			// Delete an earlier node with the same ID, together
			// with its counts.
			t.queue("delete from nodes where id = $1 and until <= (select now from clock)", []byte(n.ID))
		}
		t.one(sql, []any{[]byte(n.ID), n.Data, ttl.Microseconds()}, &started, &until)
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Node{}, err
	}
	n.Started, n.Until = time.UnixMicro(started).UTC(), time.UnixMicro(until).UTC()
	s.wrote()
	return n, nil
}

// DropNode implements [store.Nodes]. The counts are swept later.
func (s *Store) DropNode(ctx context.Context, id string) error {
	err := s.transact(ctx, local, func(t *transaction) error {
		t.queue("update nodes set until = 0 where id = $1", []byte(id))
		return nil
	})
	s.wrote()
	return err
}

// ListNodes implements [store.Nodes].
func (s *Store) ListNodes(ctx context.Context) ([]store.Node, error) {
	var all []store.Node
	err := s.transact(ctx, reading, func(t *transaction) error {
		t.queue("select id, data, started, until from nodes where until > (select now from clock) order by started, id").Query(func(rows pgx.Rows) (err error) {
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Node, error) {
				var id, data []byte
				var started, until int64
				err := row.Scan(&id, &data, &started, &until)
				return store.Node{ID: string(id), Data: bytes.Clone(data), Started: time.UnixMicro(started).UTC(), Until: time.UnixMicro(until).UTC()}, err
			})
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
