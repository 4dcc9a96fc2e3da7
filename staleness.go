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
	// pulseEvery is how often the guard looks at the clock. When it could not
	// for pauseAfter, or the clock on the wall has moved that far, the process
	// or the machine was stopped.
	pulseEvery = 250 * time.Millisecond
	pauseAfter = 2 * time.Second

	// readerTurn is how long the reader of the log has to catch up after a
	// pause: as long as a store may take for a page, and a little more.
	readerTurn = 3 * time.Second

	// endStaleWithin is how long it takes at most to end all sockets of a guard
	// that has lost its store.
	endStaleWithin = 2 * time.Second
)

// between returns the time from one moment to another, by the monotonic clock
// or by that on the wall, whichever says more. The monotonic clock stands
// still while a machine is suspended; the other one may be set back.
func between(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Paused reports whether the process was stopped a moment ago, or its machine
// suspended, and the guard has not yet ended what has expired or was revoked
// meanwhile: until it has, a server that moves the frames of sockets itself is
// to hold them. It lasts a few seconds at most, even if the store does not
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

// trusted refuses to decide once nothing is heard of the store any more.
func (g *Guard) trusted() error {
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

// awaitReader gives the reader of the log its turn after a pause.
func (g *Guard) awaitReader(ctx context.Context, d time.Duration) {
	for begun := time.Now(); g.Paused() && time.Since(begun) < d && ctx.Err() == nil; {
		wait(ctx, pulseEvery/50)
	}
}

// watch ends the sockets whose token may have been revoked without our hearing
// of it. After a pause it lets the log be read first, since what is stale then
// says nothing about the store.
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
			g.endOverdue()
		}
		g.endStale(ctx)
		g.pulse.beat(g.now())
	}
}

// A pulse is when a guard last looked at the clock.
type pulse struct {
	last atomic.Pointer[time.Time] // nil while it does not look

	mu    sync.Mutex // orders startPulse and lookAtClock
	timer *time.Timer
}

func (p *pulse) beat(now time.Time) { p.last.Store(&now) }

// startPulse has a guard without revocations, which nobody has to shut down,
// look at the clock as long as something is open that can expire. It is called
// when something was opened.
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

// lookAtClock is watch for a guard without revocations.
func (g *Guard) lookAtClock() {
	p := g.pulse
	if between(*p.last.Load(), g.now()) >= pauseAfter {
		g.endOverdue()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Store(nil)
	// What opens before the store finds the guard looking, and is found here;
	// what opens later waits for the lock.
	if !g.sockets.hasClaims() && !g.requests.hasClaims() {
		return
	}
	p.beat(g.now())
	p.timer.Reset(pulseEvery)
}

// catchUp waits for a read of the log that has begun after a moment.
func (g *Guard) catchUp(ctx context.Context, after time.Time) {
	deadline := time.Now().Add(readerTurn)
	for !g.revocations.Contact().After(after) && time.Now().Before(deadline) && ctx.Err() == nil {
		wait(ctx, pulseEvery/50)
	}
}

// endOverdue ends the sockets whose token has expired by the clock on the
// wall, while their timers may have stood still.
func (g *Guard) endOverdue() {
	now := g.now().Round(0)
	for _, s := range g.all() {
		s.mu.Lock()
		if claims := s.Claims(); claims != nil && !now.Before(claims.ValidUntil()) {
			s.expire()
		}
		s.mu.Unlock()
	}
}

// endStale ends the sockets of a guard that has lost its store, one after the
// other so that their clients do not all come again at once, until the store
// is back.
func (g *Guard) endStale(ctx context.Context) {
	stale := func() bool {
		contact := g.revocations.Contact()
		return !contact.IsZero() && between(contact, g.now()) > g.config.Staleness
	}
	if !stale() {
		return
	}
	open := g.all()
	every := min(endEvery, endStaleWithin/time.Duration(max(len(open), 1)))
	begun := time.Now()
	for i, s := range open {
		wait(ctx, time.Until(begun.Add(time.Duration(i)*every)))
		if ctx.Err() != nil || !stale() {
			return
		}
		if s.Claims() != nil {
			s.End(StoreUnavailable.End(errors.New("no contact with the revocations")))
		}
	}
}
