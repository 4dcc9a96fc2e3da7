package wsauth

import (
	"errors"
	"fmt"
	"reflect"
)

// With returns a guard with another policy for the same sockets, limits and
// revocations, for a server whose routes differ in their extractors, in the
// clients that they admit, or in the way they refuse. change receives a copy
// of the configuration of g and modifies it. Revocations, Staleness and the
// limits of open sockets are shared and cannot differ; HandshakesPerMinute is
// counted separately. A revocation by either is kept for the longer
// MaxTokenLife of the two.
//
// Both guards have the same sockets: each of them finds, renews and ends all
// of them, and Shutdown of either shuts down both.
func (g *Guard) With(change func(*Config)) (*Guard, error) {
	c := g.config
	change(&c)
	if c.MaxTokenLife == g.config.MaxTokenLife && !same(c.Verifier, g.config.Verifier) {
		c.MaxTokenLife = 0 // the default of the other verifier
	}
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
	g.maxLife.raise(c.MaxTokenLife)
	derived.handshakes = c.Limits.newHandshakes()
	derived.firstMessage = c.firstMessage()
	derived.proxies, _ = c.proxies() // validated by withDefaults
	return &derived, nil
}

// same reports whether two verifiers are equal, as far as they can be
// compared.
func same(a, b Verifier) bool {
	return a != nil && b != nil && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
