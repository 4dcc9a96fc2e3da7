// Package nodelease registers this process as a node of a cluster, and lists
// the nodes that are alive.
package nodelease

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"wsauth/store"
)

// DefaultTTL is how long a node that has died is still listed as alive. It is
// longer than a restart of the store usually takes.
const DefaultTTL = 20 * time.Second

// retryDelay is the time between two attempts to extend the lease if the store
// fails.
const retryDelay = time.Second

// Config configures a [Lease].
type Config struct {
	Nodes   store.Nodes // required
	Name    string      // for operators; default: the name of the host
	Version string      // of the program

	// TTL is how long a lease lasts; it is extended every third of it. Default:
	// [DefaultTTL].
	TTL time.Duration

	// Lost is called when the lease has ended before it was extended. The
	// process is then a new node, with the given ID. The store may have dropped
	// the data of the previous node, such as its counts. Default: none.
	Lost func(id string)

	Logger *slog.Logger // default: none
}

// A Lease lists this process as a node that is alive, until Stop is called.
type Lease struct {
	config Config
	cancel context.CancelFunc
	ended  chan struct{}

	// keeping is held while the node is stored, so that older Data does not
	// replace newer Data.
	keeping sync.Mutex

	mu      sync.Mutex
	id      string
	started time.Time // zero until the node has been stored
	data    data
}

// Start stores the node, and extends its lease until Stop is called. It fails
// if the node cannot be stored.
func Start(ctx context.Context, c Config) (*Lease, error) {
	if c.Name == "" {
		c.Name, _ = os.Hostname() // the ID is then only the random part
	}
	c.TTL = cmp.Or(c.TTL, DefaultTTL)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Name = plain(c.Name)
	l := &Lease{config: c, ended: make(chan struct{}), id: newID(c.Name), data: data{Name: c.Name, Version: c.Version}}
	if err := l.keep(ctx); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	go l.run(running)
	return l, nil
}

// maxName is the maximum length of a node's name. Node IDs have at most 64
// bytes.
const maxName = 48

// plain returns a name without characters that commands and logs would have to
// quote.
func plain(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), maxName)]
}

// newID returns a unique ID that begins with the name.
func newID(name string) string {
	return strings.TrimPrefix(name+"-"+strings.ToLower(rand.Text()[:12]), "-")
}

// ID returns the ID of the node. It changes if the lease is lost.
func (l *Lease) ID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// PublishKeys stores the IDs of the keys whose tokens this node accepts. When
// it returns nil, all nodes can see them. It fails if there are too many.
func (l *Lease) PublishKeys(ctx context.Context, ids []string) error {
	return l.publish(ctx, func(d *data) { d.Keys = append([]string{}, ids...) })
}

// PublishUsers stores the hashes of the user files that this node has read: the
// one in effect, and one that waits for the other nodes. When it returns nil,
// all nodes can see them.
func (l *Lease) PublishUsers(ctx context.Context, hashes []string) error {
	return l.publish(ctx, func(d *data) { d.Users = slices.Clone(hashes) })
}

// publish changes the data and stores it. If the data would become too long,
// publish fails and does not change it.
func (l *Lease) publish(ctx context.Context, change func(*data)) error {
	l.mu.Lock()
	next := l.data
	change(&next)
	_, err := next.encode()
	if err == nil {
		l.data = next
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.keep(ctx)
}

// List returns the nodes that are alive, the oldest first.
func (l *Lease) List(ctx context.Context) ([]Node, error) {
	stored, err := l.config.Nodes.ListNodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("nodelease: list the nodes: %w", err)
	}
	nodes := make([]Node, len(stored))
	for i, n := range stored {
		nodes[i] = parse(n)
	}
	return nodes, nil
}

// Stop ends the lease, so that the other nodes do not wait for it to expire.
func (l *Lease) Stop(ctx context.Context) error {
	l.cancel()
	<-l.ended
	l.keeping.Lock()
	defer l.keeping.Unlock()
	if err := l.config.Nodes.DropNode(ctx, l.ID()); err != nil {
		return fmt.Errorf("nodelease: %w", err)
	}
	return nil
}

// run extends the lease until ctx is done.
func (l *Lease) run(ctx context.Context) {
	defer close(l.ended)
	next, failed := l.config.TTL/3, false
	for {
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return
		}
		err := l.keep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			next, failed = l.config.TTL/3, false
		default:
			next = min(retryDelay, l.config.TTL/3)
			if !failed {
				l.config.Logger.Error("cannot extend the lease of this node", "node", l.ID(), "error", err)
			}
			failed = true
		}
	}
}

// keep stores the node. If its lease has ended, keep stores it under a new ID.
func (l *Lease) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.config.TTL/3)
	defer cancel()
	l.keeping.Lock()
	defer l.keeping.Unlock()
	err := l.store(ctx)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	l.mu.Lock()
	lost := l.id
	l.id, l.started = newID(l.config.Name), time.Time{}
	l.mu.Unlock()
	if err := l.store(ctx); err != nil {
		return err
	}
	l.config.Logger.Warn("the lease of this node has ended, because it was not extended in time; it goes on as another node", "node", l.ID(), "previous", lost)
	if l.config.Lost != nil {
		l.config.Lost(l.ID())
	}
	return nil
}

// store calls KeepNode. l.keeping must be held.
func (l *Lease) store(ctx context.Context) error {
	l.mu.Lock()
	n := store.Node{ID: l.id, Started: l.started}
	var err error
	n.Data, err = l.data.encode()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if n, err = l.config.Nodes.KeepNode(ctx, n, l.config.TTL); err != nil {
		return fmt.Errorf("nodelease: %w", err)
	}
	l.mu.Lock()
	l.started = n.Started
	l.mu.Unlock()
	return nil
}

// LacksKey returns the nodes that do not accept the tokens of a key. Nodes that
// have never published keys do not use shared keys, and are not returned.
func LacksKey(nodes []Node, id string) []Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool {
		return n.Keys == nil || slices.Contains(n.Keys, id)
	})
}

// LacksUsers returns the nodes that have user files, but not the one with the
// given hash.
func LacksUsers(nodes []Node, hash string) []Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n Node) bool {
		return n.Users == nil || slices.Contains(n.Users, hash)
	})
}
