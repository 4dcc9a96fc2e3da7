package wsauth

import (
	"errors"
	"fmt"
)

// With makes a guard of another policy over the same sockets, limits and
// revocations, for a server whose routes differ in where a credential may be,
// in whom they let in, or in how they refuse. change gets the configuration of
// g, and changes what differs. Revocations, Staleness and the limits of open
// sockets are those of g and cannot differ; HandshakesPerMinute is counted
// anew.
//
// Both guards are one: either finds, renews and ends all sockets, and Shutdown
// of either shuts down both.
func (g *Guard) With(change func(*Config)) (*Guard, error) {
	c := g.config
	change(&c)
	shared := c.Limits
	shared.HandshakesPerMinute = g.config.Limits.HandshakesPerMinute
	if shared != g.config.Limits || c.Staleness != g.config.Staleness {
		return nil, errors.New("wsauth: With: Limits and Staleness are shared by the guards of a server; only HandshakesPerMinute may differ")
	}
	c.Revocations = g.config.Revocations
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("wsauth: With: %w", err)
	}
	derived := *g
	derived.config = c
	derived.handshakes = c.Limits.newHandshakes()
	derived.firstMessage = c.firstMessage()
	derived.proxies, _ = c.proxies() // checked
	return &derived, nil
}
