package bolt

import (
	"context"
	"math"
	"sync"
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
	// examines to find those that a revocation of everything covers.
	trimSize = 10_000
)

// A write is a pending call of writer.write.
type write struct {
	ctx context.Context
	// If do returns an error for which refused is true, it must have changed
	// nothing, unless the error is ErrReused.
	do func(*transaction) error
	// Buffered, so that the writer never blocks.
	result chan error
}

// A writer makes all changes to the file, on its own goroutine.
type writer struct {
	db          *database
	preparation *preparation // pending work before the first write
	clock       clock        // of tickets
	growth      notifier     // of the log

	writes chan *write   // received by run
	stop   chan struct{} // closed by close
	done   chan struct{} // closed when run has returned
	once   sync.Once     // for close
}

// newWriter returns a writer. The caller must call its run method.
func newWriter(db *database, p *preparation, c clock) *writer {
	return &writer{
		db:          db,
		preparation: p,
		clock:       c,
		growth:      notifier{next: make(chan struct{})},
		writes:      make(chan *write),
		stop:        make(chan struct{}),
		done:        make(chan struct{}),
	}
}

// close stops the writer, after the batch that is being written. Later writes
// return [store.ErrClosed].
func (w *writer) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

// write runs do in the writer, and returns after the result has been synced to
// disk. If ctx is done first, write returns the error of ctx, but do may still
// run.
func (w *writer) write(ctx context.Context, do func(*transaction) error) error {
	call := &write{ctx: ctx, do: do, result: make(chan error, 1)}
	select {
	case w.writes <- call:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stop:
		return store.ErrClosed
	}
	select {
	case err := <-call.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the only writer. It commits all writes that arrived during the
// previous commit together, so a single write waits only for its own sync.
func (w *writer) run() {
	defer close(w.done)
	sweep := time.NewTimer(0)
	defer sweep.Stop()
	for trimmed := uint64(0); ; {
		select {
		case first := <-w.writes:
			if w.commit(w.gather(first)) {
				trimmed = 0
				sweep.Reset(0)
			}
		case <-sweep.C:
			_ = w.preparation.prepare(w.db) // retried next time
			more := w.sweep(time.Now(), w.clock.now())
			trimmed = w.trim(trimmed)
			if more || trimmed > 0 {
				sweep.Reset(0)
			} else {
				sweep.Reset(sweepEvery)
			}
		case <-w.stop:
			return
		}
	}
}

// gather returns first and the writes that are waiting, at most maxBatch.
func (w *writer) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case call := <-w.writes:
			batch = append(batch, call)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch in one transaction, syncs it and reports the results.
// Errors for which refused is true concern a single write; other errors fail
// the whole batch. The result trim reports whether there are entries to trim.
func (w *writer) commit(batch []*write) (trim bool) {
	results := make([]error, len(batch))
	grown := false
	err := w.update(func(t *transaction) error {
		before := t.log.log.bucket.Sequence()
		for i, call := range batch {
			if results[i] = call.ctx.Err(); results[i] != nil {
				continue
			}
			err := call.do(t)
			if results[i] = err; err != nil && !refused(err) {
				return err
			}
		}
		grown = t.log.log.bucket.Sequence() > before
		trim = grown && !t.log.trimmed()
		return nil
	})
	if err == nil && grown {
		w.growth.notify()
	}
	for i, call := range batch {
		if err != nil {
			results[i] = wrap(err)
		}
		call.result <- results[i]
	}
	return trim && err == nil
}

// update prepares the file if necessary, and calls do within a write
// transaction.
func (w *writer) update(do func(*transaction) error) error {
	if err := w.preparation.prepare(w.db); err != nil {
		return err
	}
	return w.db.update(do)
}

// sweep deletes some expired entries and reports whether there may be more. If
// it fails, the next sweep deletes them.
func (w *writer) sweep(now, ticketNow time.Time) bool {
	due := false
	err := w.db.view(func(tx *checkedTx) error {
		due = openLog(tx).due(now) || openTickets(tx).due(ticketNow) || openSessions(tx).due(now)
		return nil
	})
	if err != nil || !due {
		return false
	}
	err = w.update(func(t *transaction) error {
		if err := t.sweep(now, ticketNow, sweepSize); err != nil {
			return err
		}
		due = t.due(now, ticketNow)
		return nil
	})
	return err == nil && due
}

// trim deletes some entries that the revocation of everything covers. It
// returns the sequence number to continue with, or 0 if there are no more. If
// it fails, the next sweep tries again; readers do not see these entries.
func (w *writer) trim(after uint64) (next uint64) {
	trimmed := true
	err := w.db.view(func(tx *checkedTx) error {
		trimmed = openLog(tx).trimmed()
		return nil
	})
	if err != nil || trimmed {
		return 0
	}
	err = w.update(func(t *transaction) (err error) {
		next, err = t.log.trim(after, sweepSize)
		return err
	})
	if err != nil || next == math.MaxUint64 {
		return 0
	}
	return next
}

// A notifier wakes all goroutines that wait for an event.
type notifier struct {
	mu   sync.Mutex
	next chan struct{} // closed and replaced by notify
}

func (n *notifier) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.next)
	n.next = make(chan struct{})
}

// notified returns a channel that the next call of notify closes.
func (n *notifier) notified() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.next
}
