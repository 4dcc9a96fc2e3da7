package postgres

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"wsauth/store"
	"wsauth/store/storekit"
)

// addRevocations adds prepared revocations, unless the log would exceed the
// limit $6. It returns the number of entries that change the log, and the
// number of updated rows of head: 0 if nothing was added. An entry that
// replaces another gets a new position.
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

// addEvents does the same for events. The limit is $5.
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

// An addition is a call that adds either revocations or events to the log.
type addition struct {
	revocations []store.Revocation // prepared
	limit       int                // of revocations
	events      []store.Event      // prepared
	within      context.Context    // of the call; the call fails when it is done
	result      chan added         // receives one
}

// added is the result of an addition.
type added struct {
	waiting bool // the server is configured to wait for standbys
	err     error
}

// An appender makes concurrent calls share transactions, because only one
// transaction can add entries at a time.
type appender struct {
	mu      sync.Mutex
	running bool        // an addAll is running
	queue   []*addition // not started yet, oldest first
}

// add adds entries to the log.
func (s *Store) add(ctx context.Context, a *addition) error {
	return s.detach(ctx, func(within context.Context) error {
		if s.closing() {
			return store.ErrClosed
		}
		a.within, a.result = within, make(chan added, 1)
		s.appender.mu.Lock()
		s.appender.queue = append(s.appender.queue, a)
		if !s.appender.running {
			s.appender.running = true
			go s.addAll()
		}
		s.appender.mu.Unlock()
		select {
		case done := <-a.result:
			if done.err == nil && done.waiting {
				return s.confirm(within)
			}
			return done.err
		case <-within.Done():
			return s.failure(within.Err())
		}
	})
}

// addAll adds the entries of the queue until it is empty.
func (s *Store) addAll() {
	for {
		batch := s.appender.next()
		if len(batch) == 0 {
			return
		}
		s.addBatch(batch)
		s.wrote()
		s.wakeUp()
	}
}

// next removes the additions for the next transaction from the queue. It drops
// those whose calls have failed.
func (p *appender) next() []*addition {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = slices.DeleteFunc(p.queue, func(a *addition) bool { return a.within.Err() != nil })
	revocations, events, data, n := 0, 0, 0, 0
	for ; n < len(p.queue); n++ {
		a := p.queue[n]
		revocations, events = revocations+len(a.revocations), events+len(a.events)
		for _, e := range a.events {
			data += len(e.Data)
		}
		if n > 0 && (revocations > store.MaxPage || events > store.MaxPage || data > maxPageData || a.limit != p.queue[0].limit) {
			break
		}
	}
	batch := slices.Clone(p.queue[:n])
	p.queue, p.running = p.queue[n:], n > 0
	return batch
}

// addBatch adds entries in one transaction. If the log is full, it tries each
// call again alone, after making room.
func (s *Store) addBatch(batch []*addition) {
	var revocations []store.Revocation
	var events []store.Event
	for _, a := range batch {
		revocations, events = append(revocations, a.revocations...), append(events, a.events...)
	}
	done, full := s.addTogether(revocations, batch[0].limit, events)
	for _, a := range batch {
		if len(a.revocations) > 0 && full.revocations || len(a.events) > 0 && full.events {
			a.result <- s.addAlone(a)
			continue
		}
		a.result <- done
	}
}

// addAlone adds the entries of one call. If the log is full, it sweeps the log
// once and tries again.
func (s *Store) addAlone(a *addition) added {
	for first := true; ; first = false {
		done, full := s.addTogether(a.revocations, a.limit, a.events)
		if full == (fullness{}) {
			return done
		}
		swept, err := 0, error(nil)
		if first {
			swept, err = s.sweepLog(context.WithoutCancel(s.stop))
		}
		if swept == 0 {
			return added{err: cmp.Or(err, store.ErrFull)}
		}
	}
}

// fullness says which entries were not added because the log is full.
type fullness struct{ revocations, events bool }

// addTogether adds entries in one transaction. It skips the revocations or the
// events if the log is full of them.
func (s *Store) addTogether(revocations []store.Revocation, limit int, events []store.Event) (added, fullness) {
	revocations, err := storekit.Prepare(noTime, revocations)
	events, failed := storekit.PrepareEvents(noTime, events)
	if err := cmp.Or(err, failed); err != nil {
		return added{err: err}, fullness{}
	}
	var results [2]struct{ entries, moved int64 } // of revocations and events
	waiting, err := s.run(context.WithoutCancel(s.stop), local, func(t *transaction) error {
		// Appends wait for each other until the commit is visible. So entries
		// become visible in the order of their positions, and no reader skips
		// one. The lock is a statement of its own, since the next one sees only
		// what was committed before it began.
		t.queue("select pg_advisory_xact_lock($1, $2)", s.locks, lockLog)
		if len(revocations) > 0 {
			t.one(addRevocations, append(revocationColumns(revocations), limit), &results[0].entries, &results[0].moved)
		}
		if len(events) > 0 {
			t.one(addEvents, append(eventColumns(events), s.config.Limits.Events), &results[1].entries, &results[1].moved)
		}
		for _, r := range revocations {
			if r.Target == store.TargetAll {
				t.queue(trim, sweepSize)
			}
		}
		t.queue("select pg_notify($1, '')", s.channel())
		return nil
	})
	if err != nil {
		return added{err: err}, fullness{}
	}
	return added{waiting: waiting}, fullness{
		revocations: results[0].entries > 0 && results[0].moved == 0,
		events:      results[1].entries > 0 && results[1].moved == 0,
	}
}
