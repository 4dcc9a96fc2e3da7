package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// ErrNotDurable means that revocations hold on this node only, because writing
// them to the log failed. The node refuses their tokens and keeps trying to
// write them until its process ends. The wrapped error is the reason.
var ErrNotDurable = errors.New("store: revoked on this node only, not written yet")

// DefaultMaxHeld is the default of IndexConfig.MaxHeld.
const DefaultMaxHeld = 100_000

// held stores the revocations that are not in the log, oldest first. It is
// safe for concurrent use.
type held struct {
	limit int
	wake  chan struct{} // receives a value when there is something to write

	mu       sync.Mutex
	entries  map[name]Revocation
	order    []name
	reserved int // capacity reserved by writes in progress
}

func newHeld(limit int) *held {
	return &held{limit: limit, wake: make(chan struct{}, 1), entries: map[name]Revocation{}}
}

// reserve reserves capacity for revocations that may have to be held. It
// returns false if there is none. A revocation of [TargetAll] always gets
// capacity.
func (h *held) reserve(revocations []Revocation) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(revocations)
	ofAll := func(r Revocation) bool { return r.Target == TargetAll }
	if len(h.order)+h.reserved+n > h.limit && !slices.ContainsFunc(revocations, ofAll) {
		return false
	}
	h.reserved += n
	return true
}

// release undoes reserve for n revocations that need not be held.
func (h *held) release(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved -= n
}

// hold stores revocations for which reserve was called. It reports whether
// they are the first.
func (h *held) hold(revocations []Revocation) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = len(h.order) == 0
	h.reserved -= len(revocations)
	for _, r := range Uncovered(slices.Clone(revocations), h.entries[name{target: TargetAll}]) {
		old, known := h.entries[r.name()]
		if known {
			r = r.Merge(old)
		}
		h.entries[r.name()] = r
		switch {
		case r.Target == TargetAll:
			h.putFirst(r)
		case !known:
			h.order = append(h.order, r.name())
		}
	}
	select {
	case h.wake <- struct{}{}:
	default: // already pending
	}
	return first
}

// putFirst moves the revocation of everything to the front and drops the
// revocations that it covers. h.mu must be held.
func (h *held) putFirst(everything Revocation) {
	rest := slices.DeleteFunc(h.order, func(n name) bool {
		if n.target == TargetAll {
			return true
		}
		if !everything.Covers(h.entries[n]) {
			return false
		}
		delete(h.entries, n)
		return true
	})
	h.order = append([]name{everything.name()}, rest...)
}

// first returns the oldest revocations, at most limit.
func (h *held) first(limit int) []Revocation {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch := make([]Revocation, 0, min(limit, len(h.order)))
	for _, n := range h.order[:min(limit, len(h.order))] {
		batch = append(batch, h.entries[n])
	}
	return batch
}

// written removes revocations that have been written, unless they have been
// extended since. They are usually at the front, so the loop avoids scanning
// the rest; otherwise each page would cost as much as all of them.
func (h *held) written(revocations []Revocation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	removed := 0
	for _, r := range revocations {
		if h.entries[r.name()] == r {
			delete(h.entries, r.name())
			removed++
		}
	}
	for removed > 0 {
		if _, still := h.entries[h.order[0]]; still {
			break
		}
		h.order[0] = name{} // release its memory
		h.order = h.order[1:]
		removed--
	}
	if removed == 0 {
		return
	}
	h.order = slices.DeleteFunc(h.order, func(n name) bool {
		_, still := h.entries[n]
		return !still
	})
}

func (h *held) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.order)
}

// Held returns how many revocations hold on this node only; see
// [ErrNotDurable].
func (x *Index) Held() int { return x.held.len() }

// Flush writes the revocations that hold on this node only. If the log is full
// and an [Overfiller], it exceeds the limit. It returns the error of the log
// if some could not be written. Call it before the process ends.
func (x *Index) Flush(ctx context.Context) error {
	write := x.config.Revocations.Revoke
	overfiller, _ := x.config.Revocations.(Overfiller)
	for size := MaxPage; x.held.len() > 0; {
		err := x.writeHeld(ctx, size, write)
		if err == nil {
			continue
		}
		if overfiller != nil && errors.Is(err, ErrFull) {
			write, overfiller = overfiller.Overfill, nil
			continue
		}
		if size == 1 || ctx.Err() != nil {
			return fmt.Errorf("%w: %d revocations: %w", ErrNotDurable, x.held.len(), err)
		}
		size = 1 // write at least those that are accepted one by one
	}
	return nil
}

// writeHeld writes the oldest held revocations, at most limit, and removes
// them from x.held.
func (x *Index) writeHeld(ctx context.Context, limit int, write func(context.Context, ...Revocation) error) error {
	batch := x.held.first(limit)
	writing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := write(writing, batch...)
	if errors.Is(err, ErrInvalid) && limit == 1 {
		x.config.Logger.ErrorContext(ctx, "revocations: the store permanently refuses a revocation; it holds on this node only", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	x.held.written(batch)
	return nil
}

// keepWriting writes held revocations until ctx is done. After a failure, it
// writes smaller batches and waits longer, like Run.
func (x *Index) keepWriting(ctx context.Context) {
	size, backoff := MaxPage, minBackoff
	for ctx.Err() == nil {
		if x.held.len() == 0 {
			select {
			case <-x.held.wake:
			case <-ctx.Done():
			}
			continue
		}
		if err := x.writeHeld(ctx, size, x.config.Revocations.Revoke); err != nil {
			size = max(1, size/2)
			sleep(ctx, rand.N(backoff)) //nolint:gosec // spreads nodes in time, keeps no secret
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		size, backoff = min(MaxPage, 2*size), minBackoff
		if x.held.len() == 0 {
			x.config.Logger.InfoContext(ctx, "revocations: everything that this node held has been written")
		}
	}
}

// writeTimeout is the timeout for writing a batch of held revocations.
const writeTimeout = 5 * time.Second
