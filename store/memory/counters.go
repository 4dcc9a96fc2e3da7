package memory

import (
	"context"
	"time"

	"wsauth/store"
)

// SetCount implements [store.Counters].
func (s *nodes) SetCount(ctx context.Context, c store.Count) (store.Counts, error) {
	if err := ctx.Err(); err != nil {
		return store.Counts{}, err
	}
	c, err := c.Canonical()
	if err != nil {
		return store.Counts{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive.sweep(time.Now())
	n, ok := s.alive.get(c.Node)
	if !ok {
		return store.Counts{}, store.ErrNotFound
	}
	before, sum := s.sum(c.Key), n.counts[c.Key].N
	switch {
	case c.N > sum && c.Limit > 0 && before.Sum-sum+c.N > c.Limit && !c.Evict:
		return before, store.ErrFull
	case c.N == 0:
		delete(n.counts, c.Key)
	default:
		n.counts[c.Key] = c
	}
	return s.sum(c.Key), nil
}

// sum returns the sum of the counts of all nodes for a key. s.mu must be held.
func (s *nodes) sum(key string) store.Counts {
	var all store.Counts
	var oldest time.Time
	for _, item := range s.alive.items {
		c, ok := item.value.counts[key]
		if !ok {
			continue
		}
		if all.Sum += c.N; oldest.IsZero() || c.Oldest.Before(oldest) {
			all.OldestNode, oldest = c.Node, c.Oldest
		}
	}
	return all
}
