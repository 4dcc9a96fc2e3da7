package wsauth

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/ratelimit"
)

// A Guard authenticates requests, and ends sockets when their credentials
// expire or are revoked. It is safe for concurrent use.
type Guard struct {
	// See configure.
	config     Config
	proxies    *forwarded.Policy
	origins    originPolicy
	extractors *extractors
	handshakes *ratelimit.Limiter // nil without a limit
	tickets    ticketKey
	report     *reporter

	// Shared by the guards that With returns.
	open        registries
	revocations *revocationLog // nil without Config.Revocations
	refusals    refusalSockets
	now         func() time.Time
	pulse       *pulse
	paused      func() bool // pulse.paused, allocated once
	maxLife     *maxLife    // of the tokens of all guards made by With
}

// New returns a guard, or an error that joins all errors of c. If
// Config.Revocations is set, the guard follows them until [Guard.Shutdown].
func New(c Config) (*Guard, error) { return newGuard(c, time.Now) }

// newGuard is like New, with now as the clock.
func newGuard(c Config, now func() time.Time) (*Guard, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	open := newRegistries(c.Limits)
	open.sockets.shared = newSharedCounts(c, open.sockets)
	pulse := &pulse{now: now, open: open}
	g := &Guard{
		open:     open,
		refusals: newRefusalSockets(open.sockets),
		now:      now,
		pulse:    pulse,
		paused:   pulse.paused,
		maxLife:  new(maxLife),
	}
	g.configure(c)
	if c.Revocations != nil {
		if g.revocations, err = followRevocations(c, open, pulse); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// configure sets what c determines. c is valid and has its defaults.
func (g *Guard) configure(c Config) {
	g.config = c
	g.proxies, _ = c.proxies()
	g.origins = originPolicy{c.Origins, c.AnyOrigin, c.InsecureAnyOrigin, g.proxies}
	g.extractors = newExtractors(&c)
	g.handshakes = c.Limits.newHandshakes()
	g.tickets, _ = c.ticketKey()
	g.report = &reporter{c.Observer, c.Logger, g.proxies}
	g.maxLife.raise(c.MaxTokenLife)
}

// With returns a guard with another policy for the same sockets, limits and
// revocations, for a server whose routes differ in their extractors, in the
// clients that they admit, or in the way they refuse. change receives a copy
// of the configuration of g and modifies it. Revocations, Staleness, WhenStale,
// Counters, Node and the limits of open sockets are shared and cannot differ;
// HandshakesPerMinute is counted separately. A revocation by either guard is
// kept for the longer MaxTokenLife of the two.
//
// Both guards have the same sockets: each of them finds, renews and ends all
// of them, and Shutdown of either shuts down both.
func (g *Guard) With(change func(*Config)) (*Guard, error) {
	c := g.config
	change(&c)
	if c.MaxTokenLife == g.config.MaxTokenLife && !sameVerifier(c.Verifier, g.config.Verifier) {
		c.MaxTokenLife = 0 // the default of the other verifier
	}
	shared := c.Limits
	shared.HandshakesPerMinute = g.config.Limits.HandshakesPerMinute
	if shared != g.config.Limits || c.Staleness != g.config.Staleness || c.WhenStale != g.config.WhenStale {
		return nil, errors.New("wsauth: With: Limits, Staleness and WhenStale are shared by the guards of a server; only HandshakesPerMinute may differ")
	}
	c.Revocations, c.Counters, c.Node = g.config.Revocations, g.config.Counters, g.config.Node
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("wsauth: With: %w", err)
	}
	derived := *g
	derived.configure(c)
	return &derived, nil
}

// sameVerifier reports whether two verifiers are equal, as far as they can be
// compared.
func sameVerifier(a, b Verifier) bool {
	return a != nil && b != nil && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// Ready reports why the guard cannot admit clients now, as an [*Error]: it is
// draining or shut down (Restarting), or it has had no contact with
// Config.Revocations for longer than Config.Staleness (StoreUnavailable). It
// returns nil if the guard is ready. It does not block.
func (g *Guard) Ready() error {
	if g.open.sockets.isClosing() {
		return refuse(Restarting, nil)
	}
	if g.revocations == nil {
		return nil
	}
	return g.revocations.checkContact()
}
