package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"wsauth/store"
)

// nodes implements [store.Nodes] and [store.Counters].
type nodes struct {
	mu    sync.Mutex
	alive expiringMap[string, *node] // by ID
}

// A node is a live node with its counts.
type node struct {
	store.Node
	counts map[string]store.Count // by key; none is 0
}

func newNodes() nodes { return nodes{alive: newExpiringMap[string, *node]()} }

// KeepNode implements [store.Nodes].
func (s *nodes) KeepNode(ctx context.Context, n store.Node, ttl time.Duration) (store.Node, error) {
	if err := ctx.Err(); err != nil {
		return store.Node{}, err
	}
	if err := n.Check(ttl); err != nil {
		return store.Node{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.alive.sweep(now)
	kept, ok := s.alive.get(n.ID)
	switch {
	case ok:
	case n.Started.IsZero():
		kept = &node{Node: store.Node{ID: n.ID, Started: now.UTC()}, counts: map[string]store.Count{}}
	default:
		return store.Node{}, store.ErrNotFound
	}
	kept.Data, kept.Until = bytes.Clone(n.Data), now.Add(ttl).UTC()
	s.alive.put(n.ID, kept, kept.Until)
	return kept.Node, nil
}

// DropNode implements [store.Nodes].
func (s *nodes) DropNode(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive.remove(id)
	return nil
}

// ListNodes implements [store.Nodes].
func (s *nodes) ListNodes(ctx context.Context) ([]store.Node, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive.sweep(time.Now())
	var all []store.Node
	for _, item := range s.alive.items {
		all = append(all, item.value.Node)
	}
	slices.SortFunc(all, func(a, b store.Node) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
