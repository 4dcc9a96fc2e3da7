package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"wsauth/token"
)

const (
	// contactEvery is how long an index waits for news before it asks the
	// store, and so checks that the store is available.
	contactEvery = time.Second

	// readTimeout is the timeout for reading a page.
	readTimeout = 2 * time.Second

	// After a failure, an index waits for a random fraction of a time that
	// doubles from minBackoff to maxBackoff.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// IndexConfig configures an [Index].
type IndexConfig struct {
	// Revocations is the log. Required.
	Revocations Revocations

	// OnRevoke, if not nil, is called once for each revocation that is new to
	// the index or extends an earlier one. At that time [Index.Revoked]
	// already respects it. [Index.Run] calls it in the order of the log and
	// waits until it returns. [Index.Revoke] also calls it, concurrently with
	// Run and other calls of Revoke. It must not wait for a call of Revoke,
	// because that may be waiting for it.
	OnRevoke func(Revocation)

	// MaxHeld is the maximum number of revocations that the index holds
	// because writing them to the log failed. Default: [DefaultMaxHeld].
	MaxHeld int

	// Logger logs when the store fails and recovers, and when the log is
	// nearly full. Default: no log.
	Logger *slog.Logger

	// Now is the clock for [Index.Contact]. Default: [time.Now].
	Now func() time.Time
}

// An Index is a node's copy of a log of revocations in memory. While
// [Index.Run] follows the log, a check needs no I/O. It is safe for concurrent
// use.
//
// It is only as current as its last contact with the store. To refuse tokens
// when it is outdated, check [Index.Contact], too.
type Index struct {
	config IndexConfig
	ready  chan struct{} // closed at the first contact

	set  *set // changed under mu
	held *held

	mu      sync.RWMutex
	contact time.Time
	usage   Usage // at the last contact
	// Revocations for which OnRevoke is running. The channel is closed when it
	// has returned.
	telling map[name]chan struct{}
}

// NewIndex returns an empty index. Call Run to fill it.
func NewIndex(c IndexConfig) (*Index, error) {
	if c.Revocations == nil {
		return nil, errors.New("store: IndexConfig: Revocations: required")
	}
	if c.OnRevoke == nil {
		c.OnRevoke = func(Revocation) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxHeld <= 0 {
		c.MaxHeld = DefaultMaxHeld
	}
	return &Index{config: c, ready: make(chan struct{}), set: newSet(), held: newHeld(c.MaxHeld), telling: map[name]chan struct{}{}}, nil
}

// Revoked reports whether the index has a revocation that concerns the token.
// It ignores expiries: a token is still revoked after it or the revocation has
// expired.
func (x *Index) Revoked(c *token.Claims) bool {
	if !x.set.mayRevoke(c) {
		return false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.set.revoked(c)
}

// Revoke adds revocations to the index immediately, and then to the log as
// [Revocations.Revoke] does. Run need not be running. When it returns nil, the
// log has the revocations, and OnRevoke has returned for each new one, even if
// another goroutine called it.
//
// If writing to the log fails, or the log is full, or ctx is done, the error
// is [ErrNotDurable]: the index has the revocations, OnRevoke has been called,
// and Run writes them later. After any other error nothing has been revoked:
// the revocations are invalid, or the log fails and the index already holds
// IndexConfig.MaxHeld.
func (x *Index) Revoke(ctx context.Context, revocations ...Revocation) error {
	prepared, err := Prepare(time.Now(), revocations)
	if err != nil {
		return err
	}
	if !x.held.reserve(prepared) {
		return x.revokeDurably(ctx, prepared)
	}
	x.learn(prepared)
	err = x.config.Revocations.Revoke(ctx, prepared...)
	switch {
	case err == nil || len(prepared) == 0:
		x.held.release(len(prepared))
		return errors.Join(err, x.awaitTold(ctx, prepared))
	case errors.Is(err, ErrInvalid):
		x.held.release(len(prepared))
		return err
	}
	if x.held.hold(prepared) {
		x.config.Logger.ErrorContext(ctx, "revocations: writing to the log failed; this node holds them and tries again", "error", err)
	}
	return fmt.Errorf("%w: %w", ErrNotDurable, err)
}

// revokeDurably is Revoke without the capacity to hold revocations: if writing
// to the log fails, nothing is revoked.
func (x *Index) revokeDurably(ctx context.Context, prepared []Revocation) error {
	if err := x.config.Revocations.Revoke(ctx, prepared...); err != nil {
		return fmt.Errorf("%w; %d others wait to be written, so it is not held either", err, x.Held())
	}
	x.learn(prepared)
	return x.awaitTold(ctx, prepared)
}

// Contact returns the latest time at which the index is known to have had the
// whole log, or the zero time. While the store is available, it is at most
// about a second ago.
func (x *Index) Contact() time.Time {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.contact
}

// Ready returns a channel that is closed when the index has read the whole log
// for the first time.
func (x *Index) Ready() <-chan struct{} { return x.ready }

// Len returns the number of revocations in the index.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.set.len()
}

// Run follows the log until ctx is done, and returns the error of ctx. If the
// store fails, Run retries after a random delay of at most 2 seconds. If the
// cursor is no longer valid, Run reads the whole log again, without dropping
// what the index has. Call it once.
func (x *Index) Run(ctx context.Context) error {
	var writing sync.WaitGroup
	writing.Go(func() { x.keepWriting(ctx) })
	defer writing.Wait()
	var cursor Cursor
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
		case errors.Is(err, ErrCursor):
			cursor = Cursor{}
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
func (x *Index) follow(ctx context.Context, cursor Cursor) (Cursor, error) {
	began := x.config.Now()
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	page, err := x.config.Revocations.Read(reading, cursor)
	cancel()
	if err != nil {
		return cursor, err
	}
	x.learn(page.Revocations)
	if len(page.Revocations) >= MaxPage {
		return page.Next, nil
	}
	x.caughtUp(began)
	x.measure(ctx)

	waiting, cancel := context.WithTimeout(ctx, contactEvery)
	defer cancel()
	err = x.config.Revocations.Wait(waiting, page.Next)
	if waiting.Err() != nil {
		return page.Next, nil
	}
	return page.Next, err
}

// learn adds revocations to the set and calls OnRevoke for those that change
// it.
func (x *Index) learn(revocations []Revocation) {
	news := make([]Revocation, 0, len(revocations))
	told := make(chan struct{})
	x.mu.Lock()
	for _, r := range revocations {
		if x.set.put(r) {
			news = append(news, r)
			x.telling[r.name()] = told
		}
	}
	x.mu.Unlock()
	for _, r := range news {
		x.config.OnRevoke(r)
	}
	close(told)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range news {
		if x.telling[r.name()] == told {
			delete(x.telling, r.name())
		}
	}
}

// awaitTold waits until OnRevoke has returned for revocations that another
// goroutine is learning.
func (x *Index) awaitTold(ctx context.Context, revocations []Revocation) error {
	for _, r := range revocations {
		x.mu.RLock()
		told, ok := x.telling[r.name()]
		x.mu.RUnlock()
		if !ok {
			continue
		}
		select {
		case <-told:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// caughtUp records that the index had the whole log at a given time. It
// removes expired revocations, in small steps so that checks need not wait
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
		more = x.set.sweep(at, MaxPage)
		x.set.refilter()
		x.mu.Unlock()
	}
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
