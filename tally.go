package wsauth

import (
	"context"
	"errors"
	"time"

	"wsauth/internal/ratelimit"
	"wsauth/store"
)

// A tally is the count of this node for one key. At most one goroutine at a
// time executes run for it, and makes all calls of the store for the key.
type tally struct {
	kind    nameKind
	name    string
	key     string
	subject string
	most    int // on all nodes together

	held      int       // sockets of this node that have a place
	waiting   []*place  // of sockets that wait for one, oldest first
	stored    int       // the count in the store, if known
	known     bool      // whether stored is correct
	node      string    // the ID for which it is stored
	over      bool      // the limit was exceeded, so a socket may have to end
	send      bool      // the count must be sent, even if it has not changed
	changed   bool      // in sharedCounts.changed or due
	running   bool      // a goroutine executes run
	requested time.Time // when another node was last asked to evict a socket
	called    time.Time // when the store was last called

	evictAfter time.Duration // time from over to an eviction; see the constant
	evictFrom  time.Time     // if over, when sockets may be evicted
}

// A countCall describes one call of SetCount of the store.
type countCall struct {
	count     store.Count
	places    []*place          // of the sockets that get a place if it succeeds
	evictions []*ratelimit.Held // one for each place, if sockets may be evicted
}

// start starts run, unless it is running. c.mu must be held.
func (c *sharedCounts) start(t *tally) {
	if !t.running {
		t.running = true
		go c.run(t)
	}
}

// run calls the store until no socket waits and the count need not be sent.
// Sockets that wait at the same time share a call. t.running must be set.
func (c *sharedCounts) run(t *tally) {
	for {
		call, ok := c.next(t)
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, countPatience)
		counts, err := c.store.SetCount(ctx, call.count)
		cancel()
		if err != nil && (!errors.Is(err, store.ErrFull) || len(call.places) == 0) {
			c.fail(t, call, err)
			return
		}
		if evict := c.settle(t, call, counts, err != nil); evict {
			c.evict(t, counts.OldestNode)
		}
	}
}

// next returns the next call of the store. If there is none, it returns false,
// and run must return.
//
// If the count in the store is not known, because a call has failed or the node
// has a new ID, the next call stores the current count regardless of the limit.
func (c *sharedCounts) next(t *tally) (countCall, bool) {
	node, oldest := c.node(), c.sockets.oldest(t.kind, t.name).Round(0).Add(c.offset())
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.node != node {
		t.node, t.stored, t.known = node, 0, t.held == 0
	}
	call := countCall{count: store.Count{Node: node, Key: t.key, Subject: t.subject, N: t.held, Oldest: oldest}}
	switch {
	case !t.known:
	case len(t.waiting) > 0:
		call.places = t.waiting
		if limiter := c.evictions[t.kind]; limiter != nil {
			call.evictions = holdEvictions(limiter, t.key, len(t.waiting))
		}
		if n := len(call.evictions); n > 0 {
			call.places = call.places[:n:n]
		}
		t.waiting = t.waiting[len(call.places):]
		call.count.N += len(call.places)
		call.count.Limit, call.count.Evict = t.most, len(call.evictions) > 0
	case !t.send:
		t.running = false
		c.rest(t)
		return countCall{}, false
	}
	t.send, t.called = false, time.Now()
	return call, true
}

// holdEvictions reserves up to n evictions of sockets of a key.
func holdEvictions(limiter *ratelimit.Limiter, key string, n int) (held []*ratelimit.Held) {
	now := time.Now()
	for len(held) < n {
		h, wait := ratelimit.Hold(now, ratelimit.Claim{Limiter: limiter, Key: key})
		if wait > 0 {
			break
		}
		held = append(held, h)
	}
	return held
}

// rest is called when run ends. It schedules another flush if the count must be
// sent again, and drops a tally without sockets. c.mu must be held.
func (c *sharedCounts) rest(t *tally) {
	switch {
	case t.held != t.stored || !t.known || t.over:
		c.changes(t)
	case t.held == 0 && !t.changed:
		delete(c.tallies, t.key)
	}
}

// settle records the answer to a call. full is set if the error was
// [store.ErrFull]. settle reports whether a socket must be evicted now.
func (c *sharedCounts) settle(t *tally, call countCall, counts store.Counts, full bool) (evict bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	granted := len(call.places)
	if full {
		// Try again with as many sockets as fit, at least one fewer. The
		// others are refused.
		granted = min(max(0, t.most-(counts.Sum-t.stored)-t.held), granted-1)
		t.waiting = append(call.places[:granted:granted], t.waiting...)
	} else {
		t.stored, t.known = call.count.N, true
		wasOver := t.over
		if t.over = c.events != nil && counts.Sum > t.most; t.over && !wasOver {
			t.evictFrom = time.Now().Add(t.evictAfter)
		}
		if granted > 0 {
			// At most twice the limit may be open, including sockets that are
			// about to be evicted, as on one node.
			granted = max(0, granted-max(0, counts.Sum-t.most-t.most))
			t.held += c.grant(call.places[:granted])
			t.send = t.send || granted < len(call.places)
		}
	}
	for _, p := range call.places[granted:] {
		p.decided <- errFull()
	}
	evicted := min(max(0, counts.Sum-t.most), granted)
	for i, h := range call.evictions {
		if i < evicted {
			h.Spend(time.Now())
		} else {
			h.GiveBack()
		}
	}
	return t.over && len(call.places) == 0 && !time.Now().Before(t.evictFrom)
}

// grant gives places to the sockets that still wait for them, and returns the
// number of these sockets. c.mu must be held.
func (c *sharedCounts) grant(places []*place) (n int) {
	for _, p := range places {
		if !p.abandoned {
			p.decided <- nil
			n++
		}
	}
	return n
}

// fail records that a call has failed with err. It refuses the sockets that
// wait. The count in the store is then unknown, so it is sent again.
func (c *sharedCounts) fail(t *tally, call countCall, err error) {
	for _, h := range call.evictions {
		h.GiveBack()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range append(call.places, t.waiting...) {
		p.decided <- refuse(StoreUnavailable, err)
	}
	t.waiting, t.known, t.running, c.failed = nil, false, false, true
	c.changes(t)
	time.AfterFunc(resendAfter, func() { c.resend(t) })
}

// resend sends a count again, unless the tally has been dropped.
func (c *sharedCounts) resend(t *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.known = false
	c.changes(t)
}

// evict ends the oldest socket of a tally. The store has answered that the node
// oldest has it: if that is another node, evict asks it to end the socket.
func (c *sharedCounts) evict(t *tally, oldest string) {
	if oldest == t.node { // written by this goroutine only
		evicted := c.sockets.evictOldest(t.kind, t.name)
		c.mu.Lock()
		defer c.mu.Unlock()
		t.send = t.send || evicted
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(t.requested) < evictEvery { // rest schedules another attempt
		return
	}
	t.requested = time.Now()
	go c.request(t.key, oldest)
}

// request asks a node to end its oldest socket of a key. If this fails, another
// request follows, since the limit is still exceeded.
func (c *sharedCounts) request(key, node string) {
	ctx, cancel := context.WithTimeout(c.ctx, countPatience)
	defer cancel()
	expires := time.Now().Add(c.offset() + evictKept)
	_ = c.events.Publish(ctx, store.Event{Kind: eventEvict, ID: key, Data: []byte(node), Expires: expires})
}
