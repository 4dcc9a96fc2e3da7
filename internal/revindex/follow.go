package revindex

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"wsauth/store"
)

const (
	// contactEvery is how long an index waits for new entries before it reads
	// the log anyway, to check that the log is available.
	contactEvery = time.Second

	// readTimeout is the timeout for reading a page.
	readTimeout = 2 * time.Second

	// After a failure, an index waits for a random fraction of a time that
	// doubles from minBackoff to maxBackoff.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second

	// warnAt is the usage of the log, in percent, from which the operator is
	// warned.
	warnAt = 80
)

// Run follows the log until ctx is done, and returns the error of ctx. If the
// log fails, Run retries after a random delay of at most 2 seconds. If the
// cursor is no longer valid, the log may have lost entries. Run then reads it
// from the start, and adds the revocations that the index has and the log
// lacks. Call Run once.
func (x *Index) Run(ctx context.Context) error {
	var writing sync.WaitGroup
	writing.Go(func() { x.keepWriting(ctx) })
	defer writing.Wait()
	var cursor store.Cursor
	backoff := minBackoff
	for ctx.Err() == nil {
		next, err := x.follow(ctx, cursor)
		cursor = next
		switch {
		case err == nil:
			if backoff != minBackoff {
				x.config.Logger.InfoContext(ctx, "revocations: the store is back")
			}
			backoff = minBackoff
			continue
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrCursor):
			cursor, x.restoring = store.Cursor{}, newRestoration()
			x.config.Logger.WarnContext(ctx, "revocations: the log was replaced; reading it from the start")
		case backoff == minBackoff:
			x.config.Logger.ErrorContext(ctx, "revocations: the store fails", "error", err)
		}
		sleep(ctx, rand.N(backoff)) //nolint:gosec // spreads nodes in time, keeps no secret
		backoff = min(2*backoff, maxBackoff)
	}
	return ctx.Err()
}

// follow takes one step: it reads a page and, at the end of the log, waits for
// more. It returns the new cursor even if it fails.
func (x *Index) follow(ctx context.Context, cursor store.Cursor) (store.Cursor, error) {
	started := x.config.Now()
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	page, err := x.config.Log.Read(reading, cursor)
	cancel()
	if err != nil {
		return cursor, err
	}
	x.compareClocks(ctx, started, page.Now, x.config.Now())
	x.deliver(page)
	x.add(page.Revocations)
	if x.restoring != nil {
		x.restoring.note(page.Revocations)
	}
	if !page.End {
		return page.Next, nil
	}
	if x.restoring != nil {
		if err := x.restore(ctx); err != nil {
			return page.Next, err
		}
		x.restoring = nil
	}
	x.caughtUp(started, page)
	x.updateUsage(ctx)

	waiting, cancel := context.WithTimeout(ctx, contactEvery)
	defer cancel()
	err = x.config.Log.Wait(waiting, page.Next)
	if waiting.Err() != nil {
		return page.Next, nil
	}
	return page.Next, err
}

// caughtUp records a contact with the log: a page that reaches the end of the
// log was read. started is the time of the node's clock before the read.
// caughtUp also removes obsolete revocations, in small steps so that checks
// need not wait long.
//
// The log may answer after it has lost contact with the rest of its store. The
// contact is therefore set back by the time since the store last vouched for
// the log. Both ends of that time are of the store's clock, so the node's clock
// need not agree with it.
func (x *Index) caughtUp(started time.Time, page store.Page) {
	if page.Known.IsZero() {
		return // the store has never vouched for the log
	}
	contact := started.Add(-max(0, page.Now.Sub(page.Known)))
	x.mu.Lock()
	first := x.contact.IsZero()
	if contact.After(x.contact) {
		x.contact = contact
	}
	x.mu.Unlock()
	if first {
		close(x.ready)
	}
	for more := true; more; {
		x.mu.Lock()
		more = x.set.sweep(started, store.MaxPage)
		x.set.refilter()
		x.mu.Unlock()
	}
}

// updateUsage records the usage of the log, and logs a warning each time it
// reaches warnAt. If the usage cannot be determined, the last value is kept.
func (x *Index) updateUsage(ctx context.Context) {
	reporter, ok := x.config.Log.(store.UsageReporter)
	if !ok {
		return
	}
	asking, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	usage, err := reporter.RevocationUsage(asking)
	if err != nil {
		return
	}
	x.mu.Lock()
	before := x.usage
	x.usage = usage
	x.mu.Unlock()
	if usage.ReadOnly && !before.ReadOnly {
		x.config.Logger.WarnContext(ctx, "revocations: the store is read-only, perhaps because its disk is full; new revocations hold on this node only")
	}
	if isHigh(usage) && !isHigh(before) {
		x.config.Logger.WarnContext(ctx, "revocations: the log is nearly full; raise its limit, or revoke everything, which empties it",
			"entries", usage.Entries, "limit", usage.Limit)
	}
}

// isHigh reports whether the usage has reached warnAt.
func isHigh(u store.Usage) bool {
	return u.Limit > 0 && int64(u.Entries)*100 >= int64(u.Limit)*warnAt
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
