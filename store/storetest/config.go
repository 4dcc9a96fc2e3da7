package storetest

import "testing"

// Config says how a suite gets at a store, of whose contracts it need keep but
// the one that is tested.
type Config[S any] struct {
	// Open opens an empty store that holds at least 3,000 entries of each
	// kind, and has it closed at the end of the test. Required.
	Open func(t *testing.T) S

	// OpenSmall opens an empty store that holds at most 3 entries of each
	// kind. Nil: what a full store does is not tested.
	OpenSmall func(t *testing.T) S

	// Reopen closes a store of Open and opens it again, as after a restart.
	// Nil: the store does not outlive its process, and that is not tested.
	Reopen func(t *testing.T, s S) S

	// Join returns what another node has of a store of Open. Nil: a store has
	// one node.
	Join func(t *testing.T, s S) S

	// Run runs the body of a test. Where it is [testing/synctest.Test], the
	// suite also tests what happens as time passes; a store whose time is not
	// that of the test leaves it nil.
	Run func(t *testing.T, body func(*testing.T))
}

// run is Run, or else runs the body as it is.
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

// nodes are three nodes of a store, or three times the one that it has.
func (c Config[S]) nodes(t *testing.T, s S) [3]S {
	all := [3]S{s, s, s}
	if c.Join != nil {
		all[1], all[2] = c.Join(t, s), c.Join(t, s)
	}
	return all
}
