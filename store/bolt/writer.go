package bolt

import (
	"context"
	"math"
	"time"

	"wsauth/store"
)

const (
	// maxBatch is how many writes share one transaction at most.
	maxBatch = 1024

	// sweepEvery is how often the file is rid of what is gone.
	sweepEvery = time.Minute

	// sweepSize is how many entries of a kind one transaction sweeps at most.
	sweepSize = 1000

	// trimSize is how many entries of the log one transaction looks at most
	// for those that a revocation of everything covers.
	trimSize = 10_000
)

// write is one call on its way to the file.
type write struct {
	ctx    context.Context
	do     func(*transaction) error // refused before it has changed anything, but for a reuse; or failed
	result chan error               // of one, so that the writer never waits
}

// write has the writer do something, and returns when that is synced to disk.
// What it does may happen after it has returned the error of its context.
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

// run is the one writer. It commits together whatever has come while it
// committed last, so that a lone write waits for nothing but its own sync.
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
			_ = s.prepare() // or the next time
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

// gather returns the first write and those that wait behind it.
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

// commit writes a batch in one transaction, syncs it, and answers. What a
// write is refused for concerns that write alone; what fails, fails for all.
// It reports whether there is something to trim now.
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

// announce wakes the readers: the log has grown.
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

// sweep deletes some of what is gone, and reports whether there may be more.
// What it cannot delete now is left for the next time.
func (s *Store) sweep(now, ticketNow time.Time) bool {
	due := false
	err := s.view(func(tx *checkedTx) error {
		due = openLog(tx).due(now) || openTickets(tx).due(ticketNow) || openFamilies(tx).due(now)
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

// trim deletes some of what the log's revocation of everything covers, after a
// sequence, and returns the one to go on after, 0 when there is no more. What
// it cannot delete now is left for the next sweep; readers do not see it.
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
