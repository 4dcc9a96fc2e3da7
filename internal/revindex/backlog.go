package revindex

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// DefaultMaxHeld is the default of [Config.MaxHeld].
const DefaultMaxHeld = 100_000

// writeTimeout is the timeout for writing a batch of held revocations.
const writeTimeout = 5 * time.Second

// A backlog holds the revocations that are not in the log, oldest first. It is
// safe for concurrent use.
type backlog struct {
	limit int
	wake  chan struct{} // receives a value when there is something to write

	mu       sync.Mutex
	entries  map[storekit.Name]store.Revocation
	order    []storekit.Name
	reserved int // capacity reserved by writes in progress
}

func newBacklog(limit int) *backlog {
	return &backlog{limit: limit, wake: make(chan struct{}, 1), entries: map[storekit.Name]store.Revocation{}}
}

// reserve reserves capacity for revocations that may have to be held. It
// returns false if there is too little. A revocation of [store.TargetAll]
// always gets capacity.
func (b *backlog) reserve(revocations []store.Revocation) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(revocations)
	ofAll := func(r store.Revocation) bool { return r.Target == store.TargetAll }
	if len(b.order)+b.reserved+n > b.limit && !slices.ContainsFunc(revocations, ofAll) {
		return false
	}
	b.reserved += n
	return true
}

// release undoes reserve for n revocations that need not be held.
func (b *backlog) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved -= n
}

// hold stores revocations for which reserve was called. It reports whether
// they are the first.
func (b *backlog) hold(revocations []store.Revocation) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = len(b.order) == 0
	b.reserved -= len(revocations)
	for _, r := range storekit.Uncovered(slices.Clone(revocations), b.entries[storekit.Name{Target: store.TargetAll}]) {
		old, known := b.entries[storekit.NameOf(r)]
		if known {
			r = r.Merge(old)
		}
		b.entries[storekit.NameOf(r)] = r
		switch {
		case r.Target == store.TargetAll:
			b.putFirst(r)
		case !known:
			b.order = append(b.order, storekit.NameOf(r))
		}
	}
	select {
	case b.wake <- struct{}{}:
	default: // already pending
	}
	return first
}

// putFirst moves all, the revocation of [store.TargetAll], to the front and
// drops the revocations that it covers. b.mu must be held.
func (b *backlog) putFirst(all store.Revocation) {
	rest := slices.DeleteFunc(b.order, func(n storekit.Name) bool {
		if n.Target == store.TargetAll {
			return true
		}
		if !all.Covers(b.entries[n]) {
			return false
		}
		delete(b.entries, n)
		return true
	})
	b.order = append([]storekit.Name{storekit.NameOf(all)}, rest...)
}

// first returns the oldest revocations, at most limit.
func (b *backlog) first(limit int) []store.Revocation {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := make([]store.Revocation, 0, min(limit, len(b.order)))
	for _, n := range b.order[:min(limit, len(b.order))] {
		batch = append(batch, b.entries[n])
	}
	return batch
}

// written removes revocations that have been written, unless they have been
// extended since. They are usually at the front. written scans the rest of the
// backlog only if some are not: a scan for each page would be too slow.
func (b *backlog) written(revocations []store.Revocation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	removed := 0
	for _, r := range revocations {
		if b.entries[storekit.NameOf(r)] == r {
			delete(b.entries, storekit.NameOf(r))
			removed++
		}
	}
	for removed > 0 {
		if _, still := b.entries[b.order[0]]; still {
			break
		}
		b.order[0] = storekit.Name{} // release its memory
		b.order = b.order[1:]
		removed--
	}
	if removed == 0 {
		return
	}
	b.order = slices.DeleteFunc(b.order, func(n storekit.Name) bool {
		_, still := b.entries[n]
		return !still
	})
}

// len returns the number of revocations.
func (b *backlog) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.order)
}

// Held returns how many revocations hold on this node only; see
// [store.ErrNotDurable].
func (x *Index) Held() int { return x.backlog.len() }

// Flush writes the revocations that hold on this node only. If the log is full
// and a [store.Overfiller], Flush exceeds its limit. If some could not be
// written, the error is [store.ErrNotDurable] and that of the log. Call Flush
// before the process ends.
func (x *Index) Flush(ctx context.Context) error {
	write := x.config.Log.Revoke
	overfiller, _ := x.config.Log.(store.Overfiller)
	for size := store.MaxPage; x.backlog.len() > 0; {
		err := x.writeHeld(ctx, size, write)
		if err == nil {
			continue
		}
		if overfiller != nil && errors.Is(err, store.ErrFull) {
			write, overfiller = overfiller.Overfill, nil
			continue
		}
		if size == 1 || ctx.Err() != nil {
			return fmt.Errorf("%w: %d revocations: %w", store.ErrNotDurable, x.backlog.len(), err)
		}
		size = 1 // write at least those that are accepted one by one
	}
	return nil
}

// writeHeld writes the oldest revocations of the backlog, at most limit, and
// removes them from it.
func (x *Index) writeHeld(ctx context.Context, limit int, write func(context.Context, ...store.Revocation) error) error {
	batch := x.backlog.first(limit)
	writing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := write(writing, batch...)
	if errors.Is(err, store.ErrUnconfirmed) {
		err = nil // the log has them
	}
	if errors.Is(err, store.ErrInvalid) && limit == 1 {
		x.config.Logger.ErrorContext(ctx, "revocations: the store permanently refuses a revocation; it holds on this node only", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	x.backlog.written(batch)
	return nil
}

// keepWriting writes held revocations until ctx is done. After a failure, it
// writes smaller batches and waits longer, like Run.
func (x *Index) keepWriting(ctx context.Context) {
	size, backoff := store.MaxPage, minBackoff
	for ctx.Err() == nil {
		if x.backlog.len() == 0 {
			select {
			case <-x.backlog.wake:
			case <-ctx.Done():
			}
			continue
		}
		if err := x.writeHeld(ctx, size, x.config.Log.Revoke); err != nil {
			size = max(1, size/2)
			sleep(ctx, rand.N(backoff)) //nolint:gosec // spreads nodes in time, keeps no secret
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		size, backoff = min(store.MaxPage, 2*size), minBackoff
		if x.backlog.len() == 0 {
			x.config.Logger.InfoContext(ctx, "revocations: everything that this node held has been written")
		}
	}
}
