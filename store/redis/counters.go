package redis

import (
	"context"
	"strconv"
	"sync"
	"time"

	"wsauth/store"
)

var setCountScript = newScript(true, "setcount")

// SetCount implements [store.Counters]. The script looks up the leases of the
// nodes. In a Cluster, they are in another slot than the counts, so
// setCountApart looks them up.
func (s *Store) SetCount(ctx context.Context, c store.Count) (store.Counts, error) {
	if err := ctx.Err(); err != nil {
		return store.Counts{}, err
	}
	c, err := c.Canonical()
	if err != nil {
		return store.Counts{}, err
	}
	oldest, evict := "0", "0"
	if c.N > 0 {
		oldest = milliseconds(c.Oldest)
	}
	if c.Evict {
		evict = "1"
	}
	args := []string{c.Node, strconv.Itoa(c.N), oldest, strconv.Itoa(c.Limit), evict}
	set, err := within(ctx, s, func(ctx context.Context) (setCount, error) {
		if s.config.Cluster {
			return s.setCountApart(ctx, c.Node, s.keys.count(c), args)
		}
		answer, err := s.eval(ctx, setCountScript, []string{s.keys.count(c), s.keys.nodes()[0]}, args...)
		if err != nil {
			return setCount{}, err
		}
		return decodeCount(answer)
	})
	switch {
	case err != nil:
		return store.Counts{}, err
	case set.full:
		return set.counts, store.ErrFull
	}
	return set.counts, nil
}

// A setCount is the answer of the script that sets a count.
type setCount struct {
	full   bool
	counts store.Counts
	nodes  []string // all nodes that have a count
}

// decodeCount decodes the answer of the script that sets a count.
func decodeCount(answer []string) (setCount, error) {
	if len(answer) == 1 && answer[0] == "GONE" {
		return setCount{}, store.ErrNotFound
	}
	if len(answer) < 3 || answer[0] != "OK" && answer[0] != "FULL" {
		return setCount{}, errAnswer
	}
	sum := numbers(answer[1])
	if sum == nil {
		return setCount{}, errAnswer
	}
	return setCount{answer[0] == "FULL", store.Counts{Sum: int(sum[0]), OldestNode: answer[2]}, answer[3:]}, nil
}

// setCountApart sets a count whose slot is not that of the leases. It tells the
// script which nodes are dead. A node is dead only if it is missing from a list
// of live nodes that was read after its count was seen: a node has a lease when
// it sets a count, and never gets another one after losing it. No clocks are
// compared. So a count is never dropped too early, and the sum never exceeds
// the limit. While the limit is not reached, the list may be up to a second
// old, and the sum may include a node that died in that second.
func (s *Store) setCountApart(ctx context.Context, node, key string, args []string) (setCount, error) {
	if !s.live.have(node) {
		if err := s.readLive(ctx); err != nil {
			return setCount{}, err
		}
		if !s.live.listed(node) {
			return setCount{}, store.ErrNotFound
		}
	}
	var dead []string
	for {
		answer, err := s.eval(ctx, setCountScript, []string{key}, append(args[:len(args):len(args)], dead...)...)
		if err != nil {
			return setCount{}, err
		}
		set, err := decodeCount(answer)
		if err != nil {
			return setCount{}, err
		}
		if others := set.others(node); len(others) == 0 || !set.full && s.live.have(others...) {
			return set, nil
		}
		if err := s.readLive(ctx); err != nil {
			return setCount{}, err
		}
		known := len(dead)
		for _, other := range set.nodes {
			if !s.live.listed(other) {
				dead = append(dead, other)
			}
		}
		if len(dead) == known {
			return set, nil
		}
	}
}

// others returns the nodes that have a count, without the given one.
func (s setCount) others(than string) (others []string) {
	for _, node := range s.nodes {
		if node != than {
			others = append(others, node)
		}
	}
	return others
}

// liveNodes is a recent list of the nodes that have a lease.
type liveNodes struct {
	maxAge time.Duration

	mu    sync.Mutex
	read  time.Time            // before the list was read
	until map[string]time.Time // by this machine's clock
}

// have reports whether the list is recent and all of the nodes have a lease.
func (l *liveNodes) have(nodes ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.read) > l.maxAge {
		return false
	}
	for _, node := range nodes {
		if !l.until[node].After(now) {
			return false
		}
	}
	return true
}

// listed reports whether a node had a lease when the list was read.
func (l *liveNodes) listed(node string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.until[node]
	return ok
}

// readLive reads the list.
func (s *Store) readLive(ctx context.Context) error {
	read := time.Now()
	answer, err := s.eval(ctx, listNodesScript, s.keys.nodes())
	if err != nil {
		return err
	}
	nodes, now, err := decodeNodes(answer)
	if err != nil {
		return err
	}
	until := make(map[string]time.Time, len(nodes))
	for _, n := range nodes {
		until[n.ID] = read.Add(n.Until.Sub(now))
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	s.live.read, s.live.until = read, until
	return nil
}
