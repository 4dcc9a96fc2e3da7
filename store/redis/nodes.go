package redis

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsauth/store"
)

var (
	keepNodeScript  = newScript(false, "keepnode")
	listNodesScript = newScript(true, "listnodes")
	dropNodeScript  = newScript(true, "dropnode")
)

// KeepNode implements [store.Nodes].
func (s *Store) KeepNode(ctx context.Context, n store.Node, ttl time.Duration) (store.Node, error) {
	if err := ctx.Err(); err != nil {
		return store.Node{}, err
	}
	if err := n.Check(ttl); err != nil {
		return store.Node{}, err
	}
	again := "0"
	if !n.Started.IsZero() {
		again = "1"
	}
	answer, err := s.run(ctx, keepNodeScript, s.keys.nodes(), n.ID, string(n.Data), strconv.FormatInt(ttl.Milliseconds(), 10), again)
	switch {
	case err != nil:
		return store.Node{}, err
	case len(answer) == 1 && answer[0] == "GONE":
		return store.Node{}, store.ErrNotFound
	case len(answer) != 3:
		return store.Node{}, errAnswer
	}
	times := numbers(answer[1:]...)
	if times == nil {
		return store.Node{}, errAnswer
	}
	n.Started, n.Until = time.UnixMilli(int64(times[0])).UTC(), time.UnixMilli(int64(times[1])).UTC()
	return n, nil
}

// DropNode implements [store.Nodes]. Without a lease, the counts of the node
// are not part of any sum. They are deleted when another node next sets a count
// for the same key.
func (s *Store) DropNode(ctx context.Context, id string) error {
	_, err := s.run(ctx, dropNodeScript, s.keys.nodes(), id)
	return err
}

// ListNodes implements [store.Nodes].
func (s *Store) ListNodes(ctx context.Context) ([]store.Node, error) {
	answer, err := s.run(ctx, listNodesScript, s.keys.nodes())
	if err != nil {
		return nil, err
	}
	nodes, _, err := decodeNodes(answer)
	return nodes, err
}

// decodeNodes decodes the nodes and the time at which they were read.
func decodeNodes(answer []string) ([]store.Node, time.Time, error) {
	if len(answer)%3 != 1 {
		return nil, time.Time{}, errAnswer
	}
	at := numbers(answer[0])
	if at == nil {
		return nil, time.Time{}, errAnswer
	}
	var all []store.Node
	for rest := answer[1:]; len(rest) > 0; rest = rest[3:] {
		started, data, ok := strings.Cut(rest[2], " ")
		times := numbers(rest[1], started)
		if times == nil || !ok || rest[0] == "" {
			return nil, time.Time{}, errAnswer
		}
		n := store.Node{ID: rest[0], Started: time.UnixMilli(int64(times[1])).UTC(), Until: time.UnixMilli(int64(times[0])).UTC()}
		if data != "" {
			n.Data = []byte(data)
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b store.Node) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, time.UnixMilli(int64(at[0])), nil
}
