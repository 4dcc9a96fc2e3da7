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

// ErrNotDurable means that revocations hold on this node only: the log could
// not take them. The node refuses their tokens and tries again to write them
// for as long as its process lives. The error beside it says why.
var ErrNotDurable = errors.New("store: revoked on this node only, not written yet")

// DefaultMaxHeld is how many revocations an [Index] holds at most that the log
// has not taken.
const DefaultMaxHeld = 100_000

// held are the revocations that the log has not taken yet, oldest first. It is
// safe for concurrent use.
type held struct {
	limit int
	wake  chan struct{} // gets a value when there is something to write

	mu       sync.Mutex
	entries  map[name]Revocation
	order    []name
	reserved int // places for calls that are writing
}

func newHeld(limit int) *held {
	return &held{limit: limit, wake: make(chan struct{}, 1), entries: map[name]Revocation{}}
}

// reserve keeps room for revocations that may have to be held. It reports
// false if there is none; Everything always has room.
func (h *held) reserve(revocations []Revocation) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(revocations)
	isEverything := func(r Revocation) bool { return r.Scope == Everything }
	if len(h.order)+h.reserved+n > h.limit && !slices.ContainsFunc(revocations, isEverything) {
		return false
	}
	h.reserved += n
	return true
}

// release undoes reserve for revocations that need not be held.
func (h *held) release(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved -= n
}

// hold takes revocations for which room was reserved, and reports whether they
// are the first.
func (h *held) hold(revocations []Revocation) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = len(h.order) == 0
	h.reserved -= len(revocations)
	for _, r := range Uncovered(slices.Clone(revocations), h.entries[name{scope: Everything}]) {
		old, known := h.entries[r.name()]
		if known {
			r = r.Merge(old)
		}
		h.entries[r.name()] = r
		switch {
		case r.Scope == Everything:
			h.putFirst(r)
		case !known:
			h.order = append(h.order, r.name())
		}
	}
	select {
	case h.wake <- struct{}{}:
	default: // somebody is awake
	}
	return first
}

// putFirst puts the revocation of everything before all others, and drops what
// it covers. h.mu must be held.
func (h *held) putFirst(everything Revocation) {
	rest := slices.DeleteFunc(h.order, func(n name) bool {
		if n.scope == Everything {
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

// first returns the first revocations, at most limit.
func (h *held) first(limit int) []Revocation {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch := make([]Revocation, 0, min(limit, len(h.order)))
	for _, n := range h.order[:min(limit, len(h.order))] {
		batch = append(batch, h.entries[n])
	}
	return batch
}

// written removes revocations that the log has, unless they have been extended
// since. They are mostly the first, so the rest is seldom looked at: otherwise
// each page of many would cost as much as all of them.
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
		h.order[0] = name{} // which the slice would keep
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

// Flush writes what this node alone holds, also to a log that is full if that
// is an [Overfiller], and returns the error of the log if there is something
// left. A process that is about to end calls it.
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
		size = 1 // what fits one by one is better than nothing
	}
	return nil
}

// writeHeld writes the first revocations of those that are held, at most
// limit, and forgets them once the log has them.
func (x *Index) writeHeld(ctx context.Context, limit int, write func(context.Context, ...Revocation) error) error {
	batch := x.held.first(limit)
	writing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := write(writing, batch...)
	if errors.Is(err, ErrInvalid) && limit == 1 {
		x.config.Logger.ErrorContext(ctx, "revocations: the store refuses one for good, it holds on this node only", "error", err)
		err = nil
	}
	if err != nil {
		return err
	}
	x.held.written(batch)
	return nil
}

// keepWriting writes what is held, until ctx is done. After a failure it tries
// fewer at a time and waits longer, as Run does.
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
			x.config.Logger.InfoContext(ctx, "revocations: all that this node held is written")
		}
	}
}

// writeTimeout is how long a store may take for a batch that was held.
const writeTimeout = 5 * time.Second
