package bolt

import (
	"context"
	"math"
	"time"

	"wsauth/store"
)

const (
	// maxBatch is the maximum number of writes in one transaction.
	maxBatch = 1024

	// sweepEvery is the interval at which expired entries are deleted.
	sweepEvery = time.Minute

	// sweepSize is the maximum number of entries of each kind that one
	// transaction sweeps.
	sweepSize = 1000

	// trimSize is the maximum number of log entries that one transaction
	// examines for those that a revocation of everything covers.
	trimSize = 10_000
)

// write is a call that waits to be written.
type write struct {
	ctx context.Context
	// Do may return an error for which refused is true only if it has changed
	// nothing, or the error is ErrReused.
	do func(*transaction) error
	// Buffered, so that the writer never blocks.
	result chan error
}

// write runs do in the writer, and returns after the result has been synced to
// disk. If ctx is done earlier, write returns its error, but do may still run.
func (s *Store) write(ctx context.Context, do func(*transaction) error) error {
	w := &write{ctx: ctx, do: do, result: make(chan error, 1)}
	select {
	case s.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return store.ErrClosed
	}
	select {
	case err := <-w.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the only writer. It commits all writes that arrived during the
// previous commit together, so a single write waits only for its own sync.
func (s *Store) run() {
	defer close(s.done)
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	for trimmed := uint64(0); ; {
		select {
		case first := <-s.writes:
			if s.commit(s.gather(first)) {
				trimmed = 0
				sweep.Reset(0)
			}
		case <-sweep.C:
			_ = s.prepare() // retried next time
			more := s.sweep(time.Now(), s.clock.now())
			trimmed = s.trim(trimmed)
			if more || trimmed > 0 {
				sweep.Reset(0)
			} else {
				sweep.Reset(sweepEvery)
			}
		case <-s.stop:
			return
		}
	}
}

// gather returns the first write and those waiting behind it.
func (s *Store) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch in one transaction, syncs it and reports the results.
// Errors for which refused is true concern a single write; other errors fail
// the whole batch. trim reports whether there are entries to trim.
func (s *Store) commit(batch []*write) (trim bool) {
	results := make([]error, len(batch))
	grown := false
	err := s.update(func(t *transaction) error {
		before := t.log.log.bucket.Sequence()
		for i, w := range batch {
			if results[i] = w.ctx.Err(); results[i] != nil {
				continue
			}
			err := w.do(t)
			if results[i] = err; err != nil && !refused(err) {
				return err
			}
		}
		grown = t.log.log.bucket.Sequence() > before
		trim = grown && !t.log.trimmed()
		return nil
	})
	if err == nil && grown {
		s.announce()
	}
	for i, w := range batch {
		if err != nil {
			results[i] = wrap(err)
		}
		w.result <- results[i]
	}
	return trim && err == nil
}

// announce wakes the readers when the log has grown.
func (s *Store) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
}

// news returns a channel that is closed when the log grows.
func (s *Store) news() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.more
}

// sweep deletes some expired entries and reports whether there may be more.
// Entries that cannot be deleted now are left for the next sweep.
func (s *Store) sweep(now, ticketNow time.Time) bool {
	due := false
	err := s.view(func(tx *checkedTx) error {
		due = openLog(tx).due(now) || openTickets(tx).due(ticketNow) || openSessions(tx).due(now)
		return nil
	})
	if err != nil || !due {
		return false
	}
	err = s.update(func(t *transaction) error {
		if err := t.sweep(now, ticketNow, sweepSize); err != nil {
			return err
		}
		due = t.due(now, ticketNow)
		return nil
	})
	return err == nil && due
}

// trim deletes some entries that the revocation of everything covers. It
// returns the sequence number to continue with, or 0 if there are no more.
// Entries that cannot be deleted now are left for the next sweep; readers do
// not see them.
func (s *Store) trim(after uint64) (next uint64) {
	trimmed := true
	err := s.view(func(tx *checkedTx) error {
		trimmed = openLog(tx).trimmed()
		return nil
	})
	if err != nil || trimmed {
		return 0
	}
	err = s.update(func(t *transaction) (err error) {
		next, err = t.log.trim(after, sweepSize)
		return err
	})
	if err != nil || next == math.MaxUint64 {
		return 0
	}
	return next
}
