package storetest

import "testing"

// A Config describes how a suite opens stores of type S. S needs to implement
// only the tested interface.
type Config[S any] struct {
	// Open returns an empty store with limits of at least 3,000 entries of each
	// kind, and closes it at the end of the test. Required.
	Open func(t *testing.T) S

	// OpenSmall returns an empty store with a limit of 3 entries of each kind.
	// If nil, full stores are not tested.
	OpenSmall func(t *testing.T) S

	// Reopen closes a store returned by Open and opens it again, as after a
	// restart. If nil, the store does not survive a restart, and restarts are
	// not tested.
	Reopen func(t *testing.T, s S) S

	// Join opens a store returned by Open on another node. If nil, the store
	// has a single node.
	Join func(t *testing.T, s S) S

	// Run runs the body of a test. If it is [testing/synctest.Test], the suite
	// also tests long periods. Leave it nil for a store with a clock of its
	// own.
	Run func(t *testing.T, body func(*testing.T))
}

// run calls c.Run, or body if that is nil.
func (c Config[S]) run(t *testing.T, body func(*testing.T)) {
	if c.Run == nil {
		body(t)
		return
	}
	c.Run(t, body)
}

// each runs bodies as subtests, each with an empty store.
func (c Config[S]) each(t *testing.T, bodies map[string]func(*testing.T, S)) {
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			c.run(t, func(t *testing.T) { body(t, c.Open(t)) })
		})
	}
}

// nodes returns three nodes of a store. If the store has only one, it returns
// that node three times.
func (c Config[S]) nodes(t *testing.T, s S) [3]S {
	all := [3]S{s, s, s}
	if c.Join != nil {
		all[1], all[2] = c.Join(t, s), c.Join(t, s)
	}
	return all
}
