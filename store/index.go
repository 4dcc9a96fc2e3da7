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
	// store whether there are any, and so whether it is still there.
	contactEvery = time.Second

	// readTimeout is how long a store may take for a page.
	readTimeout = 2 * time.Second

	// After a failure an index waits for a random part of a time that
	// doubles from minBackoff to maxBackoff.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// IndexConfig says what an [Index] follows.
type IndexConfig struct {
	// Revocations is the log. Required.
	Revocations Revocations

	// OnRevoke, if not nil, is called for every revocation that is new to
	// the index or reaches further than before, after [Index.Revoked] has
	// begun to see it, once for each. [Index.Run] calls it in the order of
	// the log, and learns nothing more before it returns; [Index.Revoke]
	// calls it too, at the same time as Run and other calls of Revoke do. It
	// must not wait for a call of Revoke, which may be waiting for it.
	OnRevoke func(Revocation)

	// MaxHeld is how many revocations the index holds at most that the log
	// could not take. Default: [DefaultMaxHeld].
	MaxHeld int

	// Logger is told when the store fails and when it is back, and when the
	// log gets full. Default: no one is.
	Logger *slog.Logger

	// Now is the clock by which the index tells its contact with the store.
	// Default: [time.Now].
	Now func() time.Time
}

// An Index is a node's copy of a log of revocations, in memory. While
// [Index.Run] follows the log, a check takes no I/O. It is safe for concurrent
// use.
//
// It is as good as its last contact with the store: who must not trust an old
// copy looks at [Index.Contact] too.
type Index struct {
	config IndexConfig
	ready  chan struct{} // closed at the first contact

	set  *set // changed under mu
	held *held

	mu      sync.RWMutex
	contact time.Time
	usage   Usage                  // at the last contact
	telling map[name]chan struct{} // news that OnRevoke is being told of; closed when it knows
}

// NewIndex makes an index that is empty until Run fills it.
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

// Revoked reports whether a revocation that the index has seen concerns the
// token. It takes no time into account: a token that has expired, or that a
// revocation outlives, is no less revoked.
func (x *Index) Revoked(c *token.Claims) bool {
	if !x.set.mayRevoke(c) {
		return false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.set.revoked(c)
}

// Revoke adds revocations to the index at once, and to the log as
// [Revocations.Revoke] does, whether Run is running or not. When it returns
// nil, the log has them, and OnRevoke has returned for each that was news,
// whoever called it.
//
// What the log cannot take, because it is full or fails or ctx ends, is
// [ErrNotDurable]: the index holds it all the same, OnRevoke has been called,
// and Run writes it later. After any other error nothing was revoked by this
// call: what is revoked was invalid, or the index already holds
// IndexConfig.MaxHeld and the log fails.
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
		x.config.Logger.ErrorContext(ctx, "revocations: the log cannot take them, this node holds them until it can", "error", err)
	}
	return fmt.Errorf("%w: %w", ErrNotDurable, err)
}

// revokeDurably is Revoke where nothing more can be held: what the log does
// not take is not revoked.
func (x *Index) revokeDurably(ctx context.Context, prepared []Revocation) error {
	if err := x.config.Revocations.Revoke(ctx, prepared...); err != nil {
		return fmt.Errorf("%w; %d others wait to be written, so it is not held either", err, x.Held())
	}
	x.learn(prepared)
	return x.awaitTold(ctx, prepared)
}

// Contact returns the last moment at which the index is known to have held the
// whole log, and the zero time before the first. While the store answers it is
// about a second ago at most.
func (x *Index) Contact() time.Time {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.contact
}

// Ready is closed once the index has read the whole log for the first time.
func (x *Index) Ready() <-chan struct{} { return x.ready }

// Len is how many revocations the index holds.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.set.len()
}

// Run follows the log until ctx is done, and returns its error. A store that
// fails is no end: Run tries again, after a random wait of 2 seconds at most.
// When the log does not know the place any more, Run reads all of it anew, and
// forgets nothing that it had. Call it once.
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
			x.config.Logger.WarnContext(ctx, "revocations: the log is another one, reading it anew")
		case backoff == minBackoff:
			x.config.Logger.ErrorContext(ctx, "revocations: the store fails", "error", err)
		}
		sleep(ctx, rand.N(backoff)) //nolint:gosec // spreads nodes in time, keeps no secret
		backoff = min(2*backoff, maxBackoff)
	}
	return ctx.Err()
}

// follow takes one step: it reads a page and, if that is the end of the log,
// waits for more. It returns the place that it came to, also with an error.
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

// learn adds revocations to the set, then tells of those that are news.
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

// awaitTold waits until OnRevoke knows of revocations that another call learns
// at the same time.
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

// caughtUp notes that the index had the whole log at a moment, and forgets
// what is gone, a little at a time so that checks need not wait.
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

// sleep returns after d, or when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
