package wsauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/token"
)

const (
	// firstContact is how long a request waits for a new guard to read its
	// revocations.
	firstContact = time.Second

	// readerTurn is how long the reader of the log may take to catch up after
	// a pause. It is a little longer than the timeout for reading a page.
	readerTurn = 3 * time.Second

	// endStaleWithin is the maximum time for ending all sockets of a guard
	// that has lost contact with its store.
	endStaleWithin = 2 * time.Second
)

// A revocationLog is the copy of Config.Revocations that the guards of a server
// share. It follows the log, and ends the sockets of revoked tokens, and all
// sockets if the copy is out of date. A nil *revocationLog revokes nothing.
type revocationLog struct {
	index     *revindex.Index
	staleness time.Duration
	keepStale bool // sockets stay open while the store does not answer
	open      registries
	pulse     *pulse
	stop      context.CancelFunc // stops following the log
	renewals  remoteRenewals

	events store.Log         // nil if the log carries no events
	clock  store.Clock       // nil if the store has none
	others func(store.Event) // Config.OnEvent; may be nil
}

// followRevocations starts to follow c.Revocations.
func followRevocations(c Config, open registries, p *pulse) (*revocationLog, error) {
	ctx, stop := context.WithCancel(context.Background())
	l := &revocationLog{staleness: c.Staleness, keepStale: c.WhenStale == KeepSockets, open: open, pulse: p, stop: stop, renewals: remoteRenewals{open: open}, others: c.OnEvent}
	l.events, _ = c.Revocations.(store.Log)
	l.clock, _ = c.Revocations.(store.Clock)
	var err error
	l.index, err = revindex.New(revindex.Config{Log: c.Revocations, OnRevoke: open.endRevoked, OnEvent: l.handle, Logger: c.Logger, Now: p.now})
	if err != nil {
		stop()
		return nil, fmt.Errorf("wsauth: Config.Revocations: %w", err)
	}
	p.stopped = ctx.Done()
	p.beat()
	go func() { _ = l.index.Run(ctx) }() // the error is that of ctx
	go l.watch(ctx)
	return l, nil
}

// now returns the time by the clock of the store, if it has one and answers, or
// by that of this process.
func (l *revocationLog) now(ctx context.Context) time.Time {
	if l != nil && l.clock != nil {
		if now, err := l.clock.Now(ctx); err == nil {
			return now
		}
	}
	return time.Now()
}

// handle handles an event in the log. Events of unknown kinds are those of the
// application or of newer versions.
func (l *revocationLog) handle(e store.Event) {
	switch {
	case e.Kind == eventRenewed:
		l.renewals.add(e)
	case e.Kind == eventEvict:
		l.open.sockets.shared.requested(e)
	case l.others != nil:
		l.others(e)
	}
}

// check refuses a revoked token, and every token while the revocations are
// unknown.
func (l *revocationLog) check(ctx context.Context, claims *token.Claims) error {
	if l == nil {
		return nil
	}
	if err := l.waitForContact(ctx); err != nil {
		return err
	}
	if l.index.Revoked(claims) {
		return refuse(TokenRevoked, nil)
	}
	return nil
}

// recheck refuses claims that have been revoked since they were checked.
func (l *revocationLog) recheck(claims *token.Claims) error {
	if l != nil && claims != nil && l.index.Revoked(claims) {
		return refuse(TokenRevoked, errors.New("revoked while the socket was being opened"))
	}
	return nil
}

// waitForContact waits for the first contact with the store. After a pause it
// also waits until the log has been read again. It fails if the last contact is
// too long ago.
func (l *revocationLog) waitForContact(ctx context.Context) error {
	select {
	case <-l.index.Ready():
	default:
		ctx, cancel := context.WithTimeout(ctx, firstContact)
		defer cancel()
		select {
		case <-l.index.Ready():
		case <-ctx.Done():
		}
	}
	for started := time.Now(); l.pulse.paused() && time.Since(started) < firstContact && ctx.Err() == nil; {
		wait(ctx, pulseEvery/50)
	}
	return l.checkContact()
}

// checkContact fails if the guard has been shut down, if its last contact with
// the store is longer ago than Config.Staleness, or if its clock differs so
// much from that of the store that it misjudges the lifetimes of tokens.
func (l *revocationLog) checkContact() error {
	if l.pulse.isStopped() {
		return refuse(Restarting, errors.New("the guard was shut down"))
	}
	if silence := l.silence(); silence > l.staleness {
		return refuse(StoreUnavailable, fmt.Errorf("no contact with the revocations for %v", silence))
	}
	if offset := l.index.ClockOffset(); offset.Abs() >= revindex.MaxClockOffset {
		return refuse(StoreUnavailable, fmt.Errorf("the clock of this server differs from that of the store by %v", offset))
	}
	return nil
}

// silence returns how long ago the last contact with the store was.
func (l *revocationLog) silence() time.Duration { return between(l.index.Contact(), l.pulse.now()) }

// watch ends the sockets whose tokens may have been revoked without the guard
// knowing it. After a pause it first waits until the log has been read, since
// an old contact then does not mean that the store is unavailable.
func (l *revocationLog) watch(ctx context.Context) {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := l.pulse.now(); l.pulse.paused() {
			l.catchUp(ctx, now)
			l.open.endOverdue(l.pulse.now())
		}
		l.endStale(ctx)
		l.open.sockets.shared.followNode()
		l.pulse.beat()
	}
}

// catchUp waits until a read of the log that started after the given time has
// succeeded, for at most readerTurn.
func (l *revocationLog) catchUp(ctx context.Context, after time.Time) {
	deadline := time.Now().Add(readerTurn)
	for !l.index.Contact().After(after) && time.Now().Before(deadline) && ctx.Err() == nil {
		wait(ctx, pulseEvery/50)
	}
}

// endStale ends the sockets of a guard that has lost contact with its store,
// until the store answers again, unless Config.WhenStale is KeepSockets. It
// ends them one after another, so that their clients do not all reconnect at
// once.
func (l *revocationLog) endStale(ctx context.Context) {
	stale := func() bool { return !l.index.Contact().IsZero() && l.silence() > l.staleness }
	if l.keepStale || !stale() {
		return
	}
	open := l.open.all()
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
