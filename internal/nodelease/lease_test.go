package nodelease

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wsauth/store"
	"wsauth/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A link is a store that can be unreachable.
type link struct {
	store.Nodes
	cut atomic.Bool
}

var errCut = errors.New("unreachable")

func (l *link) KeepNode(ctx context.Context, n store.Node, ttl time.Duration) (store.Node, error) {
	if l.cut.Load() {
		return store.Node{}, errCut
	}
	return l.Nodes.KeepNode(ctx, n, ttl)
}

func start(t *testing.T, c Config) *Lease {
	t.Helper()
	l, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// list returns the nodes that l sees.
func list(t *testing.T, l *Lease) []Node {
	t.Helper()
	nodes, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

// TestLease checks that nodes see each other while they run, and what each has
// published, and that a node that stops is no longer listed.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memory.New(store.Limits{})
		a := start(t, Config{Nodes: shared, Name: "eu 1", Version: "v1"})
		time.Sleep(time.Second)
		b := start(t, Config{Nodes: shared, Name: strings.Repeat("x", 100)})
		if err := b.PublishKeys(t.Context(), []string{"k1", "k2"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		nodes := list(t, a)
		if len(nodes) != 2 || nodes[0].ID != a.ID() || nodes[0].Name != "eu-1" || nodes[0].Version != "v1" || nodes[0].Keys != nil || !slices.Equal(nodes[1].Keys, []string{"k1", "k2"}) {
			t.Fatalf("nodes %+v", nodes)
		}
		if got := LacksKey(nodes, "k2"); len(got) != 0 {
			t.Errorf("%+v lack k2: a node that has published no keys uses none", got)
		}
		if err := a.PublishKeys(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got := LacksKey(list(t, a), "k2"); len(got) != 1 || got[0].ID != a.ID() {
			t.Errorf("%+v lack k2, want the node without keys", got)
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := list(t, a); len(got) != 1 {
			t.Errorf("%+v after one has stopped", got)
		}
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLeaseLost checks that a node whose lease has ended continues with a new
// ID and the same data, and that a shorter failure has no effect.
func TestLeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{Nodes: memory.New(store.Limits{})}
		var lost []string
		n := start(t, Config{Nodes: l, Lost: func(id string) { lost = append(lost, id) }})
		if err := n.PublishKeys(t.Context(), []string{"k"}); err != nil {
			t.Fatal(err)
		}
		first := n.ID()
		for _, d := range []time.Duration{DefaultTTL / 2, 2 * DefaultTTL} {
			l.cut.Store(true)
			time.Sleep(d)
			l.cut.Store(false)
			time.Sleep(2 * retryDelay)
			same := d < DefaultTTL
			if got := list(t, n); len(got) != 1 || (got[0].ID == first) != same || !slices.Equal(got[0].Keys, []string{"k"}) {
				t.Errorf("nodes %+v after %v", got, d)
			}
		}
		synctest.Wait()
		if !slices.Equal(lost, []string{n.ID()}) {
			t.Errorf("Lost was called with %q, want %q", lost, n.ID())
		}
		l.cut.Store(true)
		if err := n.PublishKeys(t.Context(), nil); !errors.Is(err, errCut) {
			t.Errorf("error %v", err)
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), Config{Nodes: l}); !errors.Is(err, errCut) {
			t.Errorf("error %v", err)
		}
	})
}

// TestTooManyKeys checks the error for keys that a node cannot publish.
func TestTooManyKeys(t *testing.T) {
	n := start(t, Config{Nodes: memory.New(store.Limits{})})
	if err := n.PublishKeys(t.Context(), slices.Repeat([]string{strings.Repeat("k", 43)}, 100)); err == nil || !strings.Contains(err.Error(), "wsauth keys prune") {
		t.Errorf("error %v", err)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
