package postgres

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
	"wsauth/store/storekit"
)

// addRevocations adds prepared revocations, unless the log is full: $6 is the
// limit. It returns how many change the log, and how many rows of head were
// changed. An entry that replaces another gets a new position.
const addRevocations = `
with input as (
	select * from unnest($1::smallint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[])
		with ordinality as i (target, id, since, until, started, place)
	where until > (select now / 1000 from clock)
), everything as (
	select max(since) as since, max(until) as until from (
		select since, until from everything union all select since, until from input where target = 4
	) as a
), changed as (
	select i.*, l.position is null and i.target <> 4 as counted
	from input i cross join everything e left join log l on l.kind = '' and l.target = i.target and l.id = i.id
	where (i.target = 4 or i.started is null or e.since is null or i.started > e.since or i.until > e.until)
		and (l.position is null or i.since > l.since or i.until > l.until)
), totals as (
	select count(*) as entries, count(*) filter (where counted) as counted from changed
), moved as (
	update head set last = last + t.entries, revocations = revocations + t.counted
	from totals t where t.entries > 0 and (t.counted = 0 or revocations + t.counted <= $6)
	returning last - t.entries as base
), written as (
	insert into log (position, kind, target, id, since, until, started)
	select base + row_number() over (order by place), '', target, id, since, until, started from changed, moved
	on conflict (kind, target, id) do update set position = excluded.position,
		since = greatest(log.since, excluded.since), until = greatest(log.until, excluded.until),
		started = greatest(log.started, excluded.started)
)
select entries, (select count(*) from moved) from totals`

// addEvents is the same for events.
const addEvents = `
with input as (
	select * from unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bytea[])
		with ordinality as i (kind, id, until, data, place)
	where until > (select now / 1000 from clock)
), totals as (
	select count(*) as entries, count(*) filter (where l.position is null) as counted
	from input i left join log l on l.kind = i.kind and l.target = 0 and l.id = i.id
), moved as (
	update head set last = last + t.entries, events = events + t.counted
	from totals t where t.entries > 0 and (t.counted = 0 or events + t.counted <= $5)
	returning last - t.entries as base
), written as (
	insert into log (position, kind, target, id, since, until, data)
	select base + row_number() over (order by place), kind, 0, id, 0, until, data from input, moved
	on conflict (kind, target, id) do update set position = excluded.position,
		until = excluded.until, data = excluded.data
)
select entries, (select count(*) from moved) from totals`

// Revoke implements [store.Revocations]. It returns nil after the synchronous
// standbys, if there are any, have confirmed the revocations.
func (s *Store) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, s.config.Limits.Revocations)
}

// Overfill implements [store.Overfiller].
func (s *Store) Overfill(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, math.MaxInt)
}

// revoke is Revoke with the given limit of entries.
func (s *Store) revoke(ctx context.Context, revocations []store.Revocation, limit int) error {
	// The server drops those that are obsolete, by its own clock.
	prepared, err := storekit.Prepare(time.Time{}, revocations)
	if err != nil || len(prepared) == 0 {
		return cmp.Or(err, ctx.Err())
	}
	n := len(prepared)
	targets, ids := make([]int16, n), make([][]byte, n)
	since, until, started := make([]int64, n), make([]int64, n), make([]*int64, n)
	everything := false
	for i, r := range prepared {
		targets[i], ids[i], since[i], until[i], started[i] = encodeRevocation(r)
		everything = everything || r.Target == store.TargetAll
	}
	return s.add(ctx, everything, addRevocations, targets, ids, since, until, started, limit)
}

// Publish implements [store.Log].
func (s *Store) Publish(ctx context.Context, events ...store.Event) error {
	prepared, err := storekit.PrepareEvents(time.Time{}, events)
	if err != nil || len(prepared) == 0 {
		return cmp.Or(err, ctx.Err())
	}
	n := len(prepared)
	kinds, ids, until, data := make([][]byte, n), make([][]byte, n), make([]int64, n), make([][]byte, n)
	for i, e := range prepared {
		kinds[i], ids[i], until[i], data[i] = []byte(e.Kind), []byte(e.ID), e.Expires.UnixMilli(), append([]byte{}, e.Data...)
	}
	return s.add(ctx, false, addEvents, kinds, ids, until, data, s.config.Limits.Events)
}

// add adds entries with one of the statements above. If the log is full, it
// makes room and tries once more. everything means that a revocation of
// everything is among the entries.
func (s *Store) add(ctx context.Context, everything bool, sql string, args ...any) error {
	err := s.tryAdd(ctx, everything, sql, args)
	if err == store.ErrFull { //nolint:errorlint // tryAdd returns it as it is
		if swept, failed := s.sweepLog(ctx); failed != nil || swept == 0 {
			return cmp.Or(failed, err)
		}
		err = s.tryAdd(ctx, everything, sql, args)
	}
	return err
}

// tryAdd adds entries, or returns [store.ErrFull] itself.
func (s *Store) tryAdd(ctx context.Context, everything bool, sql string, args []any) error {
	var entries, moved int64
	err := s.transact(ctx, confirmed, func(t *transaction) error {
		// Appends wait for each other until the commit is visible. So
		// entries become visible in the order of their positions, and
		// no reader skips one. The lock is a statement of its own,
		// since the next one sees only what was committed before it
		// began.
		t.queue("select pg_advisory_xact_lock($1, $2)", s.locks, lockLog)
		t.one(sql, args, &entries, &moved)
		if everything {
			t.queue(trim, sweepSize)
		}
		t.queue("select pg_notify($1, '')", s.channel())
		return nil
	})
	if err == nil && entries > 0 && moved == 0 {
		return store.ErrFull
	}
	s.wrote()
	s.wakeUp()
	return err
}

// RevocationUsage implements [store.UsageReporter].
func (s *Store) RevocationUsage(ctx context.Context) (store.Usage, error) {
	var usage store.Usage
	err := s.transact(ctx, reading, func(t *transaction) error {
		t.one(`select revocations, pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on' from head`,
			nil, &usage.Entries, &usage.ReadOnly)
		return nil
	})
	if err != nil {
		return store.Usage{Limit: s.config.Limits.Revocations}, err
	}
	usage.Limit = s.config.Limits.Revocations
	return usage, nil
}

// maxPageData is the maximum length of the data of a page's events in bytes.
const maxPageData = 4 << 20

// readPage selects a page after the position $1, at most $2 entries, and how
// many entries there were before maxPageData ($3) left some out.
const readPage = `
select position, kind, target, id, since, until, coalesce(data, ''), total from (
	select *, count(*) over () as total, sum(coalesce(octet_length(data), 0)) over (order by position) as size from (
		select position, kind, target, id, since, until, data from log
		where position > $1 and until > (select now / 1000 from clock) and not coalesce(kind = '' and target <> 4
			and started <= (select since from everything) and until <= (select until from everything), false)
		order by position limit $2
	) as entries
) as sized
where size <= $3 order by position`

// Read implements [store.Revocations].
func (s *Store) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	var page store.Page
	var h head
	err := s.observe(ctx, &h, func() error {
		return s.transact(ctx, reading, func(t *transaction) error {
			queueHead(t, &h)
			// One more entry than fits shows whether the page is
			// the last.
			t.queue(readPage, min(after.Sequence, math.MaxInt64), store.MaxPage+1, maxPageData).Query(func(rows pgx.Rows) (err error) {
				page, err = scanPage(rows)
				return err
			})
			return nil
		})
	})
	if err == nil {
		err = h.check(after)
	}
	if err != nil {
		return store.Page{}, err
	}
	page.Next.Epoch = h.epoch
	if page.End {
		page.Next.Sequence = uint64(h.last)
	}
	page.Now, page.Known = s.position.times(h)
	return page, nil
}

// scanPage returns the rows of readPage.
func scanPage(rows pgx.Rows) (store.Page, error) {
	defer rows.Close()
	var page store.Page
	var total, read int64
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.position, &e.kind, &e.target, &e.id, &e.since, &e.until, &e.data, &total); err != nil {
			return store.Page{}, err
		}
		if read == store.MaxPage {
			break
		}
		if err := e.addTo(&page); err != nil {
			return store.Page{}, err
		}
		read++
	}
	page.End = read == total
	return page, rows.Err()
}
