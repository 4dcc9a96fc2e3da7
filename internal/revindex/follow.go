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
	// contactEvery is how long an index waits for news before it reads the log
	// anyway, to check that the log is available.
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
// cursor is no longer valid, Run reads the whole log again, without dropping
// what the index has. Call it once.
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
			cursor = store.Cursor{}
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
// more. It returns the new cursor, also with an error.
func (x *Index) follow(ctx context.Context, cursor store.Cursor) (store.Cursor, error) {
	started := x.config.Now()
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	page, err := x.config.Log.Read(reading, cursor)
	cancel()
	if err != nil {
		return cursor, err
	}
	for _, e := range page.Events {
		x.config.OnEvent(e)
	}
	x.add(page.Revocations)
	if !page.End {
		return page.Next, nil
	}
	x.caughtUp(started)
	x.updateUsage(ctx)

	waiting, cancel := context.WithTimeout(ctx, contactEvery)
	defer cancel()
	err = x.config.Log.Wait(waiting, page.Next)
	if waiting.Err() != nil {
		return page.Next, nil
	}
	return page.Next, err
}

// caughtUp records that the index had the whole log at a given time. It
// removes obsolete revocations, in small steps so that checks need not wait
// long.
func (x *Index) caughtUp(at time.Time) {
	x.mu.Lock()
	first := x.contact.IsZero()
	x.contact = at
	x.mu.Unlock()
	if first {
		close(x.ready)
	}
	for more := true; more; {
		x.mu.Lock()
		more = x.set.sweep(at, store.MaxPage)
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
