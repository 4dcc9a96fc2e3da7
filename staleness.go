package wsauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pulseEvery is how often the guard reads the clock. If it could not for
	// pauseAfter, or if the wall clock has advanced by that much, the process
	// or the machine was suspended.
	pulseEvery = 250 * time.Millisecond
	pauseAfter = 2 * time.Second

	// readerTurn is how long the reader of the log may take to catch up after
	// a pause: as long as a store may take for a page, and a little more.
	readerTurn = 3 * time.Second

	// endStaleWithin is the maximum time for ending all sockets of a guard
	// that has lost contact with its store.
	endStaleWithin = 2 * time.Second
)

// between returns the time from one moment to another, by the monotonic clock
// or the wall clock, whichever is longer. The monotonic clock stops while a
// machine is suspended; the wall clock may be set back.
func between(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Paused reports whether the process or its machine was just suspended, and
// the guard has not yet ended the sockets whose tokens expired or were revoked
// in the meantime. Until then, a server that relays frames itself must hold
// them back. This takes a few seconds at most, even if the store does not
// answer.
func (g *Guard) Paused() bool {
	if last := g.pulse.last.Load(); last == nil || between(*last, g.now()) < pauseAfter {
		return false
	}
	select {
	case <-g.stopped:
		return false
	default:
		return true
	}
}

// checkContact fails if the guard has been shut down, or its last contact with
// the store is longer ago than Config.Staleness.
func (g *Guard) checkContact() error {
	select {
	case <-g.stopped:
		return refuse(Restarting, errors.New("the guard was shut down"))
	default:
	}
	if silence := between(g.revocations.Contact(), g.now()); silence > g.config.Staleness {
		return refuse(StoreUnavailable, fmt.Errorf("no contact with the revocations for %v", silence))
	}
	return nil
}

// awaitReader waits up to d for the reader of the log after a pause.
func (g *Guard) awaitReader(ctx context.Context, d time.Duration) {
	for started := time.Now(); g.Paused() && time.Since(started) < d && ctx.Err() == nil; {
		wait(ctx, pulseEvery/50)
	}
}

// watch ends the sockets whose tokens may have been revoked without the guard
// knowing it. After a pause it first waits until the log has been read, since
// an old contact then does not mean that the store is unavailable.
func (g *Guard) watch(ctx context.Context) {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := g.now(); between(*g.pulse.last.Load(), now) >= pauseAfter {
			g.catchUp(ctx, now)
			g.open.endOverdue(g.now())
		}
		g.endStale(ctx)
		g.pulse.beat(g.now())
	}
}

// A pulse records when a guard last read the clock.
type pulse struct {
	last atomic.Pointer[time.Time] // nil while the guard does not read it

	mu    sync.Mutex // serializes startPulse and lookAtClock
	timer *time.Timer
}

func (p *pulse) beat(now time.Time) { p.last.Store(&now) }

// startPulse makes a guard without revocations read the clock while anything is
// open that can expire. Such a guard need not be shut down, so it must not have
// a goroutine of its own. startPulse must be called after something was opened.
func (g *Guard) startPulse() {
	p := g.pulse
	if g.revocations != nil || p.last.Load() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Load() == nil {
		p.beat(g.now())
		p.timer = time.AfterFunc(pulseEvery, g.lookAtClock)
	}
}

// lookAtClock does what watch does, for a guard without revocations.
func (g *Guard) lookAtClock() {
	p := g.pulse
	if between(*p.last.Load(), g.now()) >= pauseAfter {
		g.open.endOverdue(g.now())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Store(nil)
	// What opened before this Store has relied on the running pulse, and is
	// found here; what opens later waits for the lock.
	if !g.open.hasClaims() {
		return
	}
	p.beat(g.now())
	p.timer.Reset(pulseEvery)
}

// catchUp waits up to readerTurn for a read of the log that started after a
// moment.
func (g *Guard) catchUp(ctx context.Context, after time.Time) {
	deadline := time.Now().Add(readerTurn)
	for !g.revocations.Contact().After(after) && time.Now().Before(deadline) && ctx.Err() == nil {
		wait(ctx, pulseEvery/50)
	}
}

// endStale ends the sockets of a guard that has lost contact with its store,
// until the store answers again. It ends them one after another, so that their
// clients do not all reconnect at once.
func (g *Guard) endStale(ctx context.Context) {
	stale := func() bool {
		contact := g.revocations.Contact()
		return !contact.IsZero() && between(contact, g.now()) > g.config.Staleness
	}
	if !stale() {
		return
	}
	open := g.open.all()
	every := min(endEvery, endStaleWithin/time.Duration(max(len(open), 1)))
	started := time.Now()
	for i, s := range open {
		wait(ctx, time.Until(started.Add(time.Duration(i)*every)))
		if ctx.Err() != nil || !stale() {
			return
		}
		if s.Claims() != nil {
			s.EndWith(&EndError{Reason: StoreUnavailable, Err: errors.New("no contact with the revocations")})
		}
	}
}
