package postgres

import (
	"context"

	"wsauth/store"
)

// setCount sets the count of a key ($1) and a node ($2) to $3, with the oldest
// item at $4, unless the node has no lease or the sum would exceed the limit $5
// and $6 is not set. It returns whether the node has a lease, whether the count
// was allowed, the resulting sum of the live nodes, and the node with the
// oldest item.
const setCount = `
with live as (
	select id from nodes where until > (select now from clock)
), before as (
	select node, n, oldest from counts where key = $1 and node in (select id from live)
), rule as (
	select exists (select from live where id = $2) as alive,
		$3::bigint <= coalesce((select n from before where node = $2), 0) or $5::bigint = 0 or $6::boolean
			or coalesce((select sum(n) from before where node <> $2), 0) + $3 <= $5 as allowed
), stored as (
	insert into counts (key, node, n, oldest) select $1, $2, $3, $4 from rule where alive and allowed and $3 > 0
	on conflict (key, node) do update set n = excluded.n, oldest = excluded.oldest
), cleared as (
	delete from counts where key = $1 and node = $2 and $3 = 0 and (select alive from rule)
), after as (
	select node, n, oldest from before, rule where node <> $2 or not allowed
	union all select $2, $3, $4 from rule where allowed and $3 > 0
)
select alive, allowed, coalesce((select sum(n) from after), 0)::bigint,
	coalesce((select node from after order by oldest, node limit 1), '') from rule`

// SetCount implements [store.Counters].
func (s *Store) SetCount(ctx context.Context, c store.Count) (store.Counts, error) {
	if err := ctx.Err(); err != nil {
		return store.Counts{}, err
	}
	c, err := c.Canonical()
	if err != nil {
		return store.Counts{}, err
	}
	oldest := int64(0)
	if c.N > 0 {
		oldest = c.Oldest.UnixMilli()
	}
	var alive, allowed bool
	var counts store.Counts
	var node []byte
	err = s.transact(ctx, local, func(t *transaction) error {
		s.lockName(t, "count", c.Key)
		t.one(setCount, []any{[]byte(c.Key), []byte(c.Node), c.N, oldest, c.Limit, c.Evict}, &alive, &allowed, &counts.Sum, &node)
		return nil
	})
	s.wrote()
	switch {
	case err != nil:
		return store.Counts{}, err
	case !alive:
		return store.Counts{}, store.ErrNotFound
	}
	counts.OldestNode = string(node)
	if !allowed {
		return counts, store.ErrFull
	}
	return counts, nil
}

// lockName locks a name of a kind until the transaction ends. Names with the
// same hash wait for each other, too.
func (s *Store) lockName(t *transaction, kind, name string) {
	t.queue("select pg_advisory_xact_lock(hashtextextended($1::text || encode($2::bytea, 'hex'), $3))", kind, []byte(name), s.locks)
}
