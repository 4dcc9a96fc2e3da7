package wsauth

import (
	"context"
	"errors"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/ratelimit"
	"wsauth/store"
)

// A Guard authenticates requests and ends the sockets whose right has ended.
// It is safe for concurrent use.
type Guard struct {
	config       Config
	firstMessage *FirstMessage      // nil where no credential comes that way
	handshakes   *ratelimit.Limiter // nil where nobody counts them

	promptRefusals *ratelimit.Limiter // see refuseByClose
	proxies        *forwarded.Policy

	sockets     *registry
	requests    *registry    // those that take long; see Socket.Follow
	revocations *store.Index // nil where nothing can be revoked
	now         func() time.Time
	pulse       *pulse
	held        func() bool     // Paused
	stop        func()          // ends what New began
	stopped     <-chan struct{} // closed by stop; nil where New began nothing
}

// New makes a guard. It reports every fault of the configuration at once. A
// guard that has Config.Revocations follows them until [Guard.Shutdown].
func New(c Config) (*Guard, error) { return newGuard(c, time.Now) }

// newGuard is New with a clock of its own.
func newGuard(c Config, now func() time.Time) (*Guard, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	proxies, _ := c.proxies() // checked
	g := &Guard{
		config:       c,
		firstMessage: c.firstMessage(),
		handshakes:   c.Limits.newHandshakes(),

		promptRefusals: newPromptRefusals(),
		proxies:        proxies,
		now:            now,
		pulse:          new(pulse),

		sockets:  newRegistry(c.Limits),
		requests: newRegistry(Limits{}),
		stop:     func() {},
	}
	g.held = g.Paused
	g.requests.order.numbers = &g.sockets.order.own
	if c.Revocations != nil {
		if err := g.follow(c.Revocations); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Ready says why the guard cannot let anybody in now, as an [*Error]: it is
// shutting down or draining (Restarting), or it has not heard of
// Config.Revocations for longer than Config.Staleness (StoreUnavailable). Nil
// where it can. It waits for nothing.
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
// reason "restarting", and waits until their connections are gone or ctx is
// done, whose error it then returns. Sockets end one after the other, at most
// one each millisecond unless half of ctx's time is too short for that: their
// clients will all be back at once somewhere else.
//
// Plain HTTP requests are answered as before, until [Guard.Shutdown]. Those
// that are followed and [Endless] end like sockets, but are not waited for.
// There is no way back: a server that has drained is to end.
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

// Shutdown is [Guard.Drain] and the end of what [New] began.
//
// It waits for no handler, and ends no plain HTTP request:
// [http.Server.Shutdown] does that, and knows nothing of sockets. Call both.
// Once Shutdown has returned, a guard with Config.Revocations refuses every
// credential, since it follows them no more. Revocations that the store did
// not take are written at last; the error is [store.ErrNotDurable] if some are
// lost.
func (g *Guard) Shutdown(ctx context.Context) error {
	defer g.stop()
	err := g.Drain(ctx)
	if g.revocations == nil {
		return err
	}
	return errors.Join(err, g.revocations.Flush(ctx))
}
