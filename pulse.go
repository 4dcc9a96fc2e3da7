package wsauth

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pulseEvery is how often the guard reads the clock. If it was unable to do
	// so for pauseAfter, or if the wall clock has advanced by that much, the
	// process or the machine was suspended.
	pulseEvery = 250 * time.Millisecond
	pauseAfter = 2 * time.Second
)

// between returns the time from one moment to another, by the monotonic clock
// or the wall clock, whichever is longer. The monotonic clock stops while a
// machine is suspended; the wall clock may be set back.
func between(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Paused reports whether the process or its machine was just suspended, and the
// guard has not yet ended the sockets whose tokens expired or were revoked in
// the meantime. While Paused returns true, a server that relays frames itself
// must hold them back. This takes a few seconds at most, even if the store does
// not answer.
func (g *Guard) Paused() bool { return g.pulse.paused() }

// A pulse reads the clock regularly, to notice that the process or its machine
// was suspended.
type pulse struct {
	now     func() time.Time
	open    registries
	stopped <-chan struct{} // closed when the revocationLog stops; nil without one

	last atomic.Pointer[time.Time] // last reading; nil while not running

	mu    sync.Mutex // serializes start and lookAtClock
	timer *time.Timer
}

func (p *pulse) beat() {
	now := p.now()
	p.last.Store(&now)
}

// paused reports whether the clock has not been read for too long.
func (p *pulse) paused() bool {
	last := p.last.Load()
	return last != nil && between(*last, p.now()) >= pauseAfter && !p.isStopped()
}

func (p *pulse) isStopped() bool {
	select {
	case <-p.stopped:
		return true
	default:
		return false
	}
}

// start starts a timer that reads the clock, for a guard without revocations.
// The timer runs only while something is open that can expire. Such a guard
// need not be shut down, so it must not have a goroutine of its own. start must
// be called after something was opened. With revocations it does nothing, since
// revocationLog.watch reads the clock.
func (p *pulse) start() {
	if p.last.Load() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Load() == nil {
		p.beat()
		p.timer = time.AfterFunc(pulseEvery, p.lookAtClock)
	}
}

// lookAtClock does what revocationLog.watch does, for a guard without
// revocations.
func (p *pulse) lookAtClock() {
	if p.paused() {
		p.open.endOverdue(p.now())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Store(nil)
	// A socket that was opened before this Store relied on the running pulse,
	// and is found here. One that is opened later waits for the lock in start.
	if !p.open.hasClaims() {
		return
	}
	p.beat()
	p.timer.Reset(pulseEvery)
}
