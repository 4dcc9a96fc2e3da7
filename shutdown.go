package wsauth

import (
	"context"
	"errors"
	"time"
)

// Drain refuses new sockets, ends the open ones with close code 1012 and
// reason "restarting", and waits until their connections are closed. If ctx is
// done first, Drain returns its error. Sockets end one after another, so that
// their clients do not all reconnect elsewhere at once: at most one per
// millisecond, or faster if this would take more than half of the time until
// the deadline of ctx.
//
// Plain HTTP requests are answered as before, until [Guard.Shutdown]. Followed
// requests that are [Endless] end like sockets, but Drain does not wait for
// them. Draining cannot be undone: the guard never admits sockets again.
func (g *Guard) Drain(ctx context.Context) error {
	g.open.sockets.close()
	g.open.drain(ctx)
	select {
	case <-g.open.sockets.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown drains the guard like [Guard.Drain], and stops what [New] started.
//
// It does not wait for handlers and ends no plain HTTP request:
// [http.Server.Shutdown] does, but does not know about sockets. Call both.
// After Shutdown, a guard with Config.Revocations refuses every credential,
// because it no longer follows the revocations. Shutdown writes revocations
// that the store has not accepted before; the error is [store.ErrNotDurable]
// if some are lost.
func (g *Guard) Shutdown(ctx context.Context) error {
	err := g.Drain(ctx)
	g.open.sockets.shared.close(ctx)
	if g.revocations == nil {
		return err
	}
	defer g.revocations.stop()
	return errors.Join(err, g.revocations.index.Flush(ctx))
}

// wait returns after d, or when ctx is done.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
