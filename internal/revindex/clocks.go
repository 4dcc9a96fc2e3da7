package revindex

import (
	"context"
	"time"
)

const (
	// clockWarning is the smallest difference between the node's clock and the
	// store's that is logged as a warning.
	clockWarning = time.Second

	// MaxClockOffset is the smallest difference at which a node should refuse
	// all tokens, because it misjudges their lifetimes.
	MaxClockOffset = 30 * time.Second
)

// clocks compares the clocks of the node and the store.
type clocks struct {
	recent [4]time.Duration // offsets that recent reads prove
	reads  int
	warned bool // the current difference has been logged
}

// add adds a read of the log. started and ended are times of the node's clock;
// stored is the time that the store's clock showed in between. If stored lies
// between started and ended, the clocks may agree, and the offset is 0.
// Otherwise it is the distance to the nearer of the two, so that a slow read
// never exaggerates the difference.
func (c *clocks) add(started, stored, ended time.Time) {
	var offset time.Duration
	switch {
	case started.After(stored):
		offset = started.Sub(stored)
	case ended.Before(stored):
		offset = ended.Sub(stored)
	}
	c.recent[c.reads%len(c.recent)] = offset
	c.reads++
}

// offset returns the smallest of the recent offsets.
func (c *clocks) offset() time.Duration {
	recent := c.recent[:min(c.reads, len(c.recent))]
	if len(recent) == 0 {
		return 0
	}
	least := recent[0]
	for _, offset := range recent {
		if offset.Abs() < least.Abs() {
			least = offset
		}
	}
	return least
}

// compareClocks adds a read to x.clocks, and logs a warning each time the
// difference reaches clockWarning.
func (x *Index) compareClocks(ctx context.Context, started, stored, ended time.Time) {
	x.mu.Lock()
	x.clocks.add(started, stored, ended)
	offset := x.clocks.offset()
	warn := offset.Abs() >= clockWarning && !x.clocks.warned
	if warn {
		x.clocks.warned = true
	} else if offset.Abs() < clockWarning/2 {
		x.clocks.warned = false
	}
	x.mu.Unlock()
	if warn {
		x.config.Logger.WarnContext(ctx, "revocations: the clock of this node differs from that of the store; synchronize them", "ahead", offset)
	}
}

// ClockOffset returns how far the node's clock is ahead of that of the store,
// or behind if it is negative. The true difference is at least that large. The
// result is the smallest difference of the last few reads of the log; it is 0
// if one of them proves none.
func (x *Index) ClockOffset() time.Duration {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.clocks.offset()
}
