package wsauth

import (
	"context"
	"errors"
	"time"
)

// recount stores all counts again under a new ID of the node. It is called
// after the lease of the previous ID has ended, because the store has then
// dropped the counts of that ID. Other nodes may have admitted sockets in the
// meantime, so that a limit is exceeded. If Limits.WhenFull is EndOldest, the
// oldest sockets then end.
func (c *sharedCounts) recount(node string) {
	c.mu.Lock()
	c.counted = node
	for _, t := range c.tallies {
		t.known = false
		c.changes(t)
	}
	c.mu.Unlock()
	c.flush()
}

// followNode calls recount if the ID of the node has changed.
func (c *sharedCounts) followNode() {
	if c == nil {
		return
	}
	node := c.node()
	c.mu.Lock()
	isNew := node != c.counted
	c.mu.Unlock()
	if isNew {
		c.recount(node)
	}
}

// close sends the last counts to the store, and stops. It waits for the store
// for at most countPatience.
func (c *sharedCounts) close(ctx context.Context) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	c.flush()
	_ = c.await(ctx, func() bool { return len(c.tallies) == 0 || c.failed })
	c.stop()
}

// await waits until holds returns true. It calls holds with c.mu held.
func (c *sharedCounts) await(ctx context.Context, holds func() bool) error {
	isDone := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return holds()
	}
	for !isDone() {
		wait(ctx, flushEvery/10)
		if err := errors.Join(ctx.Err(), c.ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// changes schedules a tally for the next flush, which sends it if it has
// changed. c.mu must be held.
func (c *sharedCounts) changes(t *tally) {
	if t.changed || c.tallies[t.key] != t || c.ctx.Err() != nil {
		return
	}
	t.changed = true
	c.changed = append(c.changed, t)
	if c.timed {
		return
	}
	c.timed = true
	every := flushEvery
	if c.failed {
		every = flushFailed
	}
	time.AfterFunc(every, c.flush)
}

// flush sends the changed tallies to the store, in the background.
func (c *sharedCounts) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timed, c.failed = false, false
	c.due = append(c.due, c.changed...)
	c.changed = nil
	c.startFlushers()
}

// startFlushers starts the goroutines that send what is due. c.mu must be held.
func (c *sharedCounts) startFlushers() {
	for range min(maxFlushers-c.flushers, len(c.due)) {
		c.flushers++
		go c.sendDue()
	}
}

// sendDue sends tallies until none is due.
func (c *sharedCounts) sendDue() {
	for t := c.nextDue(); t != nil; t = c.nextDue() {
		c.run(t)
	}
}

// nextDue returns a tally that is due and for which nothing runs yet. If there
// is none, it returns nil, and the caller must return.
func (c *sharedCounts) nextDue() *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.due) > 0 && c.ctx.Err() == nil {
		t := c.due[0]
		c.due = c.due[1:]
		t.changed = false
		t.send = t.send || t.held != t.stored || t.over
		if !t.running {
			t.running = true
			return t
		}
	}
	c.due = nil // release its memory
	c.flushers--
	return nil
}
