// Package revindex keeps a node's copy of the log of revocations in memory, so
// that checking a token needs no I/O.
package revindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
	"wsauth/token"
)

// Config configures an [Index].
type Config struct {
	// Log is followed, and gets what [Index.Revoke] adds. Required.
	Log store.Revocations

	// OnRevoke, if not nil, is called once for each revocation that is new to
	// the index or extends an earlier one. At that time [Index.Revoked] already
	// respects it. [Index.Run] calls it in the order of the log and waits until
	// it returns. [Index.Revoke] also calls it, concurrently with Run and other
	// calls of Revoke. OnRevoke must not wait for a call of Revoke, because
	// that call may be waiting for OnRevoke.
	OnRevoke func(store.Revocation)

	// OnEvent, if not nil, is called once for each event in the log, in the
	// order of the log, whether or not its kind is known. This includes events
	// that the log had before the index first read it. Within a page of the
	// log, events are delivered before revocations. [Index.Run] waits until
	// OnEvent returns, so it must not block.
	OnEvent func(store.Event)

	// MaxHeld is the maximum number of revocations that the index holds
	// because writing them to the log failed. Default: [DefaultMaxHeld].
	MaxHeld int

	// Logger logs when the log of revocations fails and recovers, when it is
	// nearly full, and when its clock differs from that of the node. Default:
	// none.
	Logger *slog.Logger

	// Now is the node's clock, for [Index.Contact] and [Index.ClockOffset].
	// Default: [time.Now].
	Now func() time.Time
}

// An Index is a node's copy of a log of revocations. While [Index.Run] follows
// the log, a check needs no I/O. It is safe for concurrent use.
//
// It is only as current as its last contact with the log. To refuse tokens
// when it is outdated, check [Index.Contact], too.
type Index struct {
	config Config
	ready  chan struct{} // closed at the first contact

	set     *set // changed under mu
	backlog *backlog

	// Used by Run only.
	restoring *restoration // nil unless the log was replaced
	delivered *deliveries

	mu      sync.RWMutex
	clocks  clocks
	contact time.Time
	usage   store.Usage // at the last contact
	// notifying contains the revocations for which OnRevoke is running. The
	// channel is closed when it has returned.
	notifying map[storekit.Name]chan struct{}
}

// New returns an empty index. Call Run to fill it.
func New(c Config) (*Index, error) {
	if c.Log == nil {
		return nil, errors.New("revindex: Config.Log: required")
	}
	if c.OnRevoke == nil {
		c.OnRevoke = func(store.Revocation) {}
	}
	if c.OnEvent == nil {
		c.OnEvent = func(store.Event) {}
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
	return &Index{
		config: c, ready: make(chan struct{}),
		set: newSet(), backlog: newBacklog(c.MaxHeld), delivered: newDeliveries(),
		notifying: map[storekit.Name]chan struct{}{},
	}, nil
}

// Revoked reports whether the index has a revocation that concerns the token.
// It ignores expiries: a token stays revoked after the token or the revocation
// has expired.
func (x *Index) Revoked(c *token.Claims) bool {
	if !x.set.mayRevoke(c) {
		return false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.set.revokes(c)
}

// Revoke adds revocations to the index immediately, and then to the log as
// [store.Revocations.Revoke] does. Run need not be running. When it returns
// nil, the log has the revocations, and OnRevoke has returned for each new
// one, even if another goroutine called it.
//
// If the error is [store.ErrUnconfirmed], the log also has the revocations, and
// OnRevoke has returned.
//
// If writing to the log fails, or the log is full, or ctx is done, the error
// is [store.ErrNotDurable]: the index has the revocations, OnRevoke has been
// called, and Run writes them later. After any other error nothing has been
// revoked: the revocations are invalid, or the log fails and the index already
// holds Config.MaxHeld.
func (x *Index) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	prepared, err := storekit.Prepare(time.Now(), revocations)
	if err != nil {
		return err
	}
	if !x.backlog.reserve(prepared) {
		return x.revokeDurably(ctx, prepared)
	}
	x.add(prepared)
	err = x.config.Log.Revoke(ctx, prepared...)
	switch {
	case err == nil || len(prepared) == 0 || errors.Is(err, store.ErrUnconfirmed):
		x.backlog.release(len(prepared))
		return errors.Join(err, x.awaitNotified(ctx, prepared))
	case errors.Is(err, store.ErrInvalid):
		x.backlog.release(len(prepared))
		return err
	}
	if x.backlog.hold(prepared) {
		x.config.Logger.ErrorContext(ctx, "revocations: writing to the log failed; this node holds them and tries again", "error", err)
	}
	return fmt.Errorf("%w: %w", store.ErrNotDurable, err)
}

// revokeDurably is like Revoke, but holds no revocations: if writing to the log
// fails, nothing is revoked.
func (x *Index) revokeDurably(ctx context.Context, prepared []store.Revocation) error {
	err := x.config.Log.Revoke(ctx, prepared...)
	if err != nil && !errors.Is(err, store.ErrUnconfirmed) {
		return fmt.Errorf("%w; %d others wait to be written, so it is not held either", err, x.Held())
	}
	x.add(prepared)
	return errors.Join(err, x.awaitNotified(ctx, prepared))
}

// add adds revocations to the set and calls OnRevoke for those that change it.
func (x *Index) add(revocations []store.Revocation) {
	news := make([]store.Revocation, 0, len(revocations))
	notified := make(chan struct{})
	x.mu.Lock()
	for _, r := range revocations {
		if x.set.put(r) {
			news = append(news, r)
			x.notifying[storekit.NameOf(r)] = notified
		}
	}
	x.mu.Unlock()
	for _, r := range news {
		x.config.OnRevoke(r)
	}
	close(notified)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range news {
		if x.notifying[storekit.NameOf(r)] == notified {
			delete(x.notifying, storekit.NameOf(r))
		}
	}
}

// awaitNotified waits until OnRevoke has returned for revocations that another
// goroutine is adding.
func (x *Index) awaitNotified(ctx context.Context, revocations []store.Revocation) error {
	for _, r := range revocations {
		x.mu.RLock()
		notified, ok := x.notifying[storekit.NameOf(r)]
		x.mu.RUnlock()
		if !ok {
			continue
		}
		select {
		case <-notified:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Contact returns the latest time of the node's clock at which the index is
// known to have had everything that was confirmed on any node, or the zero
// time. It advances only by reading the log, and only as far as the store
// vouches for it; see [store.Page]. While the store is available and Run runs,
// it is at most about two seconds ago.
func (x *Index) Contact() time.Time {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.contact
}

// Ready returns a channel that is closed at the first contact: when the index
// has read the whole log.
func (x *Index) Ready() <-chan struct{} { return x.ready }

// Len returns the number of revocations in the index.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.set.len()
}

// Usage returns the usage of the log at the last contact. It is zero if the
// log is not a [store.UsageReporter].
func (x *Index) Usage() store.Usage {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.usage
}
