package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// A head is the state of the log at one time.
type head struct {
	epoch string
	last  int64 // position of the last entry
	flush int64 // position up to which the server has flushed its WAL
	now   int64 // time of the server, in microseconds
	known int64 // time of the last heartbeat, in microseconds

	waiting bool // commits wait for standbys by default
}

// headSQL selects a head. It fails on a standby.
const headSQL = `
select (select epoch from epoch), (select last from head), (pg_current_wal_flush_lsn() - '0/0')::bigint,
	(select now from clock), (select at from heartbeat)`

// queueHead queues headSQL.
func queueHead(t *transaction, h *head) {
	t.queue(headSQL).QueryRow(func(row pgx.Row) error {
		h.waiting = t.waiting
		return row.Scan(&h.epoch, &h.last, &h.flush, &h.now, &h.known)
	})
}

// look reads the head by calling run, which is transact or a function like it,
// and updates s.position.
func (s *Store) look(ctx context.Context, run func(context.Context, mode, func(*transaction) error) error) (head, error) {
	var h head
	err := s.observe(ctx, &h, func() error {
		return run(ctx, reading, func(t *transaction) error {
			queueHead(t, &h)
			return nil
		})
	})
	if err != nil {
		return head{}, err
	}
	return h, nil
}

// A position is the last known end of the log of a store. The epoch of a log
// consists of an ID, which [Store.replaced] changes, and the timeline of the
// server.
type position struct {
	mu     sync.Mutex
	head   head
	beaten time.Time     // when head.known changed, by the clock of this process
	err    error         // of the last attempt to read the head
	moved  chan struct{} // closed and replaced when head or err change
}

func newPosition() position { return position{moved: make(chan struct{})} }

// state returns the newest head, a channel that is closed when the state
// changes, and the error of the last attempt to read the head.
func (p *position) state() (head, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.head, p.moved, p.err
}

// set sets the newest head. Heads may arrive out of order: an older one of the
// same epoch decreases neither last nor flush.
func (p *position) set(h head) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.head
	if h.epoch == old.epoch {
		h.last, h.flush = max(h.last, old.last), max(h.flush, old.flush)
	}
	if p.head = h; h.known != old.known {
		p.beaten = time.Now()
	}
	if h.epoch != old.epoch || h.last != old.last || p.err != nil {
		p.err = nil
		p.wake()
	}
}

// fail records that the log could not be read.
func (p *position) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	p.wake()
}

// wake closes moved and replaces it. p.mu must be held.
func (p *position) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// recordSlack is longer than any usual record of the WAL, in bytes.
const recordSlack = 64 << 10

// observe calls read, which sets h, and checks h for signs that entries may
// have been lost:
//
//   - Another timeline means that a standby was promoted, or a backup was
//     restored. The timeline is part of the epoch, so nothing else is needed.
//     An earlier timeline than before means that this is the former primary.
//   - Within a timeline, the position up to which the server has flushed its
//     own log does not decrease, except if the server has lost what it had
//     flushed, for example because an older copy of its disk was restored. Then
//     observe changes the epoch. After a crash, the position can be lower by
//     a part of one record, which was no commit.
//
// Both can be read without special rights.
func (s *Store) observe(ctx context.Context, h *head, read func() error) error {
	before, _, _ := s.position.state()
	if err := read(); err != nil {
		return err
	}
	id, timeline := splitEpoch(h.epoch)
	beforeID, beforeTimeline := splitEpoch(before.epoch)
	switch {
	case id == beforeID && timeline < beforeTimeline:
		s.pool.Reset() // another server may be the primary now
		return fmt.Errorf("%w: it has timeline %s, and the primary has %s", ErrStandby, timeline, beforeTimeline)
	case h.epoch == before.epoch && (h.flush < before.flush-recordSlack || h.last < before.last):
		if err := s.replaced(ctx, h.epoch); err != nil {
			return err
		}
		return errors.New("store/postgres: the server has lost data; its log has a new epoch")
	}
	s.position.set(*h)
	return nil
}

// splitEpoch splits an epoch into an ID and a timeline. A timeline has a fixed
// number of hexadecimal digits, so timelines can be compared as strings.
func splitEpoch(epoch string) (id, timeline string) {
	at := strings.LastIndexByte(epoch, '.')
	return epoch[:max(at, 0)], epoch[at+1:]
}

// replaced changes the epoch if it is still the given one. Entries of that
// epoch were lost. Of the nodes that notice the loss, only one changes it.
func (s *Store) replaced(ctx context.Context, epoch string) error {
	s.config.Logger.ErrorContext(ctx, "store/postgres: the server has lost data that it had committed; all nodes read the log again, and tickets are void")
	return s.transact(ctx, local, func(t *transaction) error {
		t.queue("select pg_advisory_xact_lock($1, $2)", s.locks, lockLog)
		t.queue("update identity set id = replace(gen_random_uuid()::text, '-', '') where (select epoch from epoch) = $1", epoch)
		return nil
	})
}

// check returns ErrCursor if c is not a position in the log with head h.
func (h head) check(c store.Cursor) error {
	if c != (store.Cursor{}) && (c.Epoch != h.epoch || c.Sequence > uint64(h.last)) {
		return store.ErrCursor
	}
	return nil
}

// times returns Page.Now and Page.Known for h. If the clock of the server was
// set back, the heartbeat may be in the future. Its age is then the time since
// this process first saw it.
func (p *position) times(h head) (now, known time.Time) {
	now, known = time.UnixMicro(h.now).UTC(), time.UnixMicro(h.known).UTC()
	if known.After(now) {
		p.mu.Lock()
		defer p.mu.Unlock()
		known = now.Add(-time.Since(p.beaten))
	}
	return now, known
}
