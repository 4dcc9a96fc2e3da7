package wsauth

import (
	"context"
	"errors"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/ratelimit"
	"wsauth/internal/revindex"
)

// A Guard authenticates requests, and ends sockets when their credentials
// expire or are revoked. It is safe for concurrent use.
type Guard struct {
	config       Config
	firstMessage *FirstMessage      // nil unless one of config.Extractors
	handshakes   *ratelimit.Limiter // nil without a limit

	promptRefusals *ratelimit.Limiter // see refuseByClose
	proxies        *forwarded.Policy

	sockets     *registry
	requests    *registry       // long ones; see Follow
	revocations *revindex.Index // nil without Config.Revocations
	now         func() time.Time
	pulse       *pulse
	maxLife     *maxLife        // of the tokens of all guards made by With
	held        func() bool     // g.Paused, made once
	stop        func()          // stops what New started
	stopped     <-chan struct{} // closed by stop; nil if New started nothing
}

// New returns a guard, or an error that joins all errors of c. If
// Config.Revocations is set, the guard follows them until [Guard.Shutdown].
func New(c Config) (*Guard, error) { return newGuard(c, time.Now) }

// newGuard does what New does, with now as the clock.
func newGuard(c Config, now func() time.Time) (*Guard, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	proxies, _ := c.proxies() // validated by withDefaults
	g := &Guard{
		config:       c,
		firstMessage: c.firstMessage(),
		handshakes:   c.Limits.newHandshakes(),

		promptRefusals: newPromptRefusals(),
		proxies:        proxies,
		now:            now,
		pulse:          new(pulse),
		maxLife:        new(maxLife),

		sockets:  newRegistry(c.Limits),
		requests: newRegistry(Limits{}),
		stop:     func() {},
	}
	g.held = g.Paused
	g.maxLife.raise(c.MaxTokenLife)
	g.requests.order.numbers = &g.sockets.order.own
	if c.Revocations != nil {
		if err := g.follow(c.Revocations); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Ready reports why the guard cannot admit clients now, as an [*Error]: it is
// draining or shut down (Restarting), or it has had no contact with
// Config.Revocations for longer than Config.Staleness (StoreUnavailable). It
// returns nil if the guard is ready. It does not block.
func (g *Guard) Ready() error {
	if g.sockets.isClosing() {
		return refuse(Restarting, nil)
	}
	if g.revocations == nil {
		return nil
	}
	return g.trusted()
}

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
	g.sockets.close()
	g.drain(ctx)
	select {
	case <-g.sockets.idle:
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
	defer g.stop()
	err := g.Drain(ctx)
	if g.revocations == nil {
		return err
	}
	return errors.Join(err, g.revocations.Flush(ctx))
}
