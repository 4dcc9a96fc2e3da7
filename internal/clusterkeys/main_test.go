package clusterkeys

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wsauth/internal/nodelease"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token/keyring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errCut = errors.New("unreachable")

// A link connects a node with the store. While it is cut, all calls fail.
type link struct {
	*memory.Store
	cut     atomic.Bool
	noWrite atomic.Bool // records cannot be written
}

func (l *link) err(ctx context.Context) error {
	if l.cut.Load() {
		return errCut
	}
	return ctx.Err()
}

func (l *link) KeepNode(ctx context.Context, n store.Node, ttl time.Duration) (store.Node, error) {
	if err := l.err(ctx); err != nil {
		return store.Node{}, err
	}
	return l.Store.KeepNode(ctx, n, ttl)
}

func (l *link) ListNodes(ctx context.Context) ([]store.Node, error) {
	if err := l.err(ctx); err != nil {
		return nil, err
	}
	return l.Store.ListNodes(ctx)
}

func (l *link) ReadRecord(ctx context.Context, name string) (store.Record, error) {
	if err := l.err(ctx); err != nil {
		return store.Record{}, err
	}
	return l.Store.ReadRecord(ctx, name)
}

func (l *link) WriteRecord(ctx context.Context, name string, r store.Record) error {
	if err := l.err(ctx); err != nil || l.noWrite.Load() {
		return cmp.Or(err, errCut)
	}
	return l.Store.WriteRecord(ctx, name, r)
}

// A node is a process with a key folder of its own.
type node struct {
	dir   string
	link  *link
	log   *wstest.Log
	lease *nodelease.Lease
	keys  *Keys
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// A cluster is a store with its nodes.
type cluster struct {
	store  *memory.Store
	secret *Secret // nil: the nodes share a key folder
	shared string  // the shared key folder
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	return &cluster{store: memory.New(store.Limits{}), secret: secretOf(t, "the secret that the nodes of the test share"), shared: filepath.Join(t.TempDir(), "keys")}
}

func secretOf(t testing.TB, text string) *Secret {
	t.Helper()
	s, err := NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// node returns a node that is not running.
func (c *cluster) node(t testing.TB) *node {
	t.Helper()
	dir := c.shared
	if c.secret != nil {
		dir = filepath.Join(t.TempDir(), "keys")
	}
	return &node{dir: dir, link: &link{Store: c.store}, log: &wstest.Log{}}
}

// start runs a node until it is stopped.
func (c *cluster) start(ctx context.Context, n *node) (err error) {
	log := slog.New(slog.NewTextHandler(n.log, nil))
	if n.lease, err = nodelease.Start(ctx, nodelease.Config{Nodes: n.link, Name: "n", Logger: log}); err != nil {
		return err
	}
	n.keys, err = Open(ctx, Config{Dir: n.dir, Secret: c.secret, Records: n.link, Nodes: n.lease, Logger: log})
	if err != nil {
		n.keys = nil
		return errors.Join(err, n.lease.Stop(context.WithoutCancel(ctx)))
	}
	ctx, n.stop = context.WithCancel(ctx)
	n.ended.Go(func() { n.keys.Watch(ctx) })
	return nil
}

// end stops the node. A node that is killed does not end its lease.
func (n *node) end(t testing.TB, killed bool) {
	t.Helper()
	n.stop()
	n.ended.Wait()
	n.keys = nil
	n.link.cut.Store(killed)
	if err := n.lease.Stop(context.Background()); err != nil && !killed {
		t.Error(err)
	}
	n.link.cut.Store(false)
}

// run starts a node, and stops it at the end of the test.
func (c *cluster) run(t *testing.T, n *node) *node {
	t.Helper()
	if err := c.start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n.keys != nil {
			n.end(t, false)
		}
	})
	return n
}

// signer returns the ID of the key with which the node signs, or "".
func (n *node) signer() string {
	key, err := n.keys.SigningKey()
	if err != nil {
		return ""
	}
	return key.ID()
}

// accepts returns the sorted IDs of the keys whose tokens the node accepts.
func (n *node) accepts(t testing.TB) (ids []string) {
	t.Helper()
	set, err := n.keys.KeySet(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys() {
		ids = append(ids, k.ID())
	}
	slices.Sort(ids)
	return ids
}

// generate adds a key to the folder of the node that signs at once, and returns
// its ID.
func (n *node) generate(t testing.TB) string {
	t.Helper()
	e, err := keyring.Generate(t.Context(), n.dir, keyring.GenerateOptions{Lead: -1})
	if err != nil {
		t.Fatal(err)
	}
	return e.Key.ID()
}
