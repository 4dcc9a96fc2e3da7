package clusterkeys

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/testenv"
	"wsauth/token/keyring"
)

// TestNoNodeLacksTheSigningKey checks that no node ever signs with a key that a
// live node lacks, except one that was deleted on purpose. Meanwhile, nodes
// start, stop, die, lose the connection to the store and get new keys, in a
// random order. At the end, all nodes have the same keys and sign with the same
// one.
func TestNoNodeLacksTheSigningKey(t *testing.T) {
	for seed := range uint64(testenv.Size(4, 30)) {
		synctest.Test(t, func(t *testing.T) {
			x := &chaos{t: t, cluster: newCluster(t), rand: rand.New(rand.NewPCG(seed, 1)), deleted: map[string]bool{}} //nolint:gosec // reproducible
			for range 4 {
				x.nodes = append(x.nodes, x.cluster.node(t))
			}
			x.start(x.nodes[0])
			for range 40 {
				x.step()
				for range 1 + x.rand.IntN(20) {
					time.Sleep(time.Duration(x.rand.IntN(900)) * time.Millisecond)
					x.check()
				}
				if t.Failed() {
					break
				}
			}
			x.settle()
			for _, n := range x.nodes {
				if n.keys != nil {
					n.end(t, false)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// A chaos is a cluster whose nodes change and fail at random.
type chaos struct {
	t       *testing.T
	cluster *cluster
	rand    *rand.Rand
	nodes   []*node
	deleted map[string]bool // IDs of keys that were deleted on purpose
	signed  int             // checks of a signing key
}

// step does something to a random node.
func (x *chaos) step() {
	n := x.nodes[x.rand.IntN(len(x.nodes))]
	switch what := x.rand.IntN(12); {
	case n.keys == nil && what < 8:
		x.start(n)
	case n.keys == nil:
		// The operator changes the folder of a node that is not running.
		if _, err := os.Stat(filepath.Join(n.dir, baseName)); err == nil {
			n.generate(x.t)
		}
	case what < 3:
		n.generate(x.t)
	case what < 5:
		o := keyring.RotateOptions{Lead: time.Duration(x.rand.IntN(20)-5) * time.Second, Overlap: time.Hour}
		if _, _, err := keyring.Rotate(x.t.Context(), n.dir, o); err != nil {
			x.t.Error(err)
		}
	case what == 5:
		x.remove(n)
	case what == 6:
		n.end(x.t, false)
	case what == 7:
		n.end(x.t, true)
	case what == 8:
		if err := os.RemoveAll(n.dir); err != nil {
			x.t.Error(err)
		}
	default:
		// The interruption is shorter than the rest of the lease.
		n.link.cut.Store(true)
		for range x.rand.IntN(20) {
			time.Sleep(500 * time.Millisecond)
			x.check()
		}
		n.link.cut.Store(false)
		settle()
	}
}

func (x *chaos) start(n *node) {
	if err := x.cluster.start(x.t.Context(), n); err != nil {
		x.t.Errorf("a node does not start: %v\n%s", err, n.log)
	}
}

// remove deletes a key that is not the only one.
func (x *chaos) remove(n *node) {
	entries, err := keyring.List(n.dir)
	if err != nil || len(entries) < 2 {
		return
	}
	e := entries[x.rand.IntN(len(entries))]
	x.deleted[e.Key.ID()] = true
	if err := os.Remove(filepath.Join(n.dir, e.File)); err != nil {
		x.t.Error(err)
	}
}

// check fails the test if a node signs with a key that another node does not
// accept, unless it was deleted on purpose.
func (x *chaos) check() {
	for _, n := range x.nodes {
		if n.keys == nil {
			continue
		}
		id := n.signer()
		if id == "" || x.deleted[id] {
			continue
		}
		x.signed++
		for _, other := range x.nodes {
			if x.t.Failed() {
				return
			}
			if other.keys != nil && !slices.Contains(other.accepts(x.t), id) {
				x.t.Errorf("%s signs with %s, which %s lacks\n%s\n%s", n.lease.ID(), id, other.lease.ID(), n.log, other.log)
			}
		}
	}
}

// settle checks that after a while all nodes have the same keys.
func (x *chaos) settle() {
	for _, n := range x.nodes {
		if n.keys == nil {
			x.start(n)
		}
	}
	if x.t.Failed() {
		return
	}
	time.Sleep(time.Minute)
	want := x.nodes[0]
	if want.signer() == "" || x.signed == 0 {
		x.t.Errorf("nothing was signed: %s", want.log)
	}
	for _, n := range x.nodes {
		if got := n.accepts(x.t); !slices.Equal(got, want.accepts(x.t)) || n.signer() != want.signer() {
			x.t.Errorf("%q are accepted, and %s signs, want %q and %s\n%s", got, n.signer(), want.accepts(x.t), want.signer(), n.log)
		}
	}
}
