package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"wsauth/store"
)

const (
	// sweepEvery is the interval at which a store sweeps while it writes.
	sweepEvery = 5 * time.Second

	// sweepSize is the maximum number of rows that one statement sweeps,
	// and sweepRounds the maximum number of times that it runs while it
	// finds that many.
	sweepSize   = 1000
	sweepRounds = 20
)

// sweepEntries deletes up to $1 entries that are obsolete or have expired.
const sweepEntries = `
with gone as (
	delete from log where position = any (array(
		select position from log where until <= (select now / 1000 from clock) order by until limit $1
	)) returning kind = '' and target <> 4 as revocation, kind <> '' as event
), counted as (
	update head set revocations = revocations - (select count(*) from gone where revocation),
		events = events - (select count(*) from gone where event)
	where exists (select from gone)
)
select count(*) from gone`

// trim deletes up to $1 entries that the revocation of everything covers.
const trim = `
with gone as (
	delete from log where position = any (array(
		select position from log where kind = '' and target <> 4
			and started <= (select since from everything) and until <= (select until from everything) limit $1
	)) returning position
), counted as (
	update head set revocations = revocations - (select count(*) from gone) where exists (select from gone)
)
select count(*) from gone`

// A table describes how to sweep a table. sql deletes up to $1 rows and returns
// their number. $2 is a shard if sharded is set.
type table struct {
	sql     string
	sharded bool
}

// expiring returns the table of a name, whose rows expire and are counted by
// shard.
func expiring(name, key string) table {
	return table{`
with gone as (
	delete from ` + name + ` where ` + key + ` = any (array(
		select ` + key + ` from ` + name + ` where expires <= (select now / 1000 from clock) order by expires limit $1 for update skip locked
	)) returning ` + key + `
), counted as (
	update totals set n = n - (select count(*) from gone) where kind = '` + name + `' and shard = $2 and exists (select from gone)
)
select count(*) from gone`, true}
}

var (
	ticketTable  = expiring("tickets", "key")
	sessionTable = expiring("sessions", "id")

	countTable = table{`
with gone as (
	delete from counts where ctid = any (array(
		select c.ctid from counts c join nodes on id = node where until <= (select now from clock) limit $1 for update of c skip locked
	)) returning key
)
select count(*) from gone`, false}

	nodeTable = table{`
with gone as (
	delete from nodes where id = any (array(
		select id from nodes where until <= (select now from clock) and not exists (select from counts where node = id)
		limit $1 for update skip locked
	)) returning id
)
select count(*) from gone`, false}

	bucketTable = table{`
with gone as (
	delete from buckets where key = any (array(
		select key from buckets where full_at <= (select now from clock) order by full_at limit $1 for update skip locked
	)) returning key
)
select count(*) from gone`, false}
)

// A sweeper decides when a store sweeps.
type sweeper struct {
	mu      sync.Mutex
	last    time.Time
	running bool
}

// begin reports whether it is time to sweep. If so, it records that a sweep is
// running.
func (s *sweeper) begin(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || now.Sub(s.last) < sweepEvery {
		return false
	}
	s.running, s.last = true, now
	return true
}

// end records that sweeping has ended.
func (s *sweeper) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
}

// wrote sweeps in the background if it is time. It must be called after each
// write.
func (s *Store) wrote() {
	if !s.sweeper.begin(time.Now()) {
		return
	}
	go func() {
		defer s.sweeper.end()
		s.sweep(s.stop)
	}()
}

// sweep deletes expired rows from all tables, in bounded steps.
func (s *Store) sweep(ctx context.Context) {
	steps := []func(context.Context) (int, error){s.sweepLog}
	for _, all := range []table{ticketTable, sessionTable, countTable, nodeTable, bucketTable} {
		steps = append(steps, func(ctx context.Context) (int, error) { return s.sweepTable(ctx, all) })
	}
	for _, step := range steps {
		for range sweepRounds {
			n, err := step(ctx)
			if err != nil && !errors.Is(err, store.ErrClosed) && ctx.Err() == nil {
				s.config.Logger.WarnContext(ctx, "store/postgres: sweeping failed", "error", err)
			}
			if err != nil || n < sweepSize {
				break
			}
		}
	}
}

// sweepLog deletes entries that readers no longer see. It returns their number.
func (s *Store) sweepLog(ctx context.Context) (int, error) {
	var expired, covered int
	err := s.transact(ctx, local, func(t *transaction) error {
		t.queue("select pg_advisory_xact_lock($1, $2)", s.locks, lockLog)
		t.one(sweepEntries, []any{sweepSize}, &expired)
		t.one(trim, []any{sweepSize}, &covered)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return expired + covered, nil
}

// sweepTable deletes expired rows of a table. It returns their number.
func (s *Store) sweepTable(ctx context.Context, of table) (int, error) {
	n := 0
	args := []any{sweepSize}
	if of.sharded {
		args = append(args, shard())
	}
	err := s.transact(ctx, local, func(t *transaction) error {
		t.one(of.sql, args, &n)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
