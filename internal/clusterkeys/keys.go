// Package clusterkeys gives all nodes of a cluster the same signing keys.
//
// The keys are in a record of the store, encrypted with the secret of the
// cluster. Each node has a copy in its key folder. It uses this copy while the
// store does not answer, and writes it back if the store has lost the keys.
// Changes of any folder reach the record, and then the folders of the other
// nodes.
//
//	keys.go    Keys, which follows the record, and joins the cluster
//	sign.go    which key signs
//	sync.go    the folder and the record
//	state.go   how changes are merged
//	secret.go  the secret of the cluster
package clusterkeys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/internal/nodelease"
	"wsauth/store"
	"wsauth/token"
	"wsauth/token/keyring"
)

const (
	// pollInterval is the time between two synchronizations.
	pollInterval = 2 * time.Second

	// syncTimeout limits the time of a synchronization.
	syncTimeout = 5 * time.Second

	// joinTimeout is how long [Open] waits for a key that may sign.
	joinTimeout = 15 * time.Second
)

// Config configures [Open].
type Config struct {
	// Dir is the key folder.
	Dir string

	// Secret encrypts the keys in the store. If it is nil, the nodes share Dir,
	// and the store has no keys.
	Secret *Secret

	// Records are those of the store. Required with Secret.
	Records store.Records

	// Nodes are this node and the others, such as a [*nodelease.Lease].
	// Required.
	Nodes Nodes

	Logger *slog.Logger // default: none
}

// Nodes publishes the keys of this node, and lists those of all nodes.
type Nodes interface {
	PublishKeys(ctx context.Context, ids []string) error
	List(ctx context.Context) ([]nodelease.Node, error)
}

// Keys are the keys of a cluster. Like a [keyring.Ring], Keys is a
// [token.Signer] and a [token.KeySource]. It signs only with keys that all
// nodes have read.
type Keys struct {
	dir     string
	secret  *Secret
	records store.Records
	nodes   Nodes
	log     *slog.Logger
	ring    *keyring.Ring

	approved atomic.Pointer[map[string]bool] // IDs of keys that all nodes have read; immutable

	updating  sync.Mutex      // held by update
	synced    state           // the last common state of the folder and the record
	shared    map[string]bool // IDs of the keys in synced
	published []string
	faults    map[string]string // what was logged last, by kind
}

// Open joins the cluster, and returns its keys. If the cluster has no keys yet,
// Open generates one. When it returns, the other nodes know which keys this one
// has, and it has all keys with which they sign. It returns a [*ForeignError]
// if the folder has keys of another server.
func Open(ctx context.Context, c Config) (*Keys, error) {
	k := &Keys{dir: c.Dir, secret: c.Secret, records: c.Records, nodes: c.Nodes, log: c.Logger, faults: map[string]string{}}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.approved.Store(&map[string]bool{})
	if err := k.checkOthers(ctx); err != nil {
		return nil, err
	}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	if err := k.join(ctx); err != nil {
		return nil, err
	}
	return k, k.awaitSigner(ctx)
}

// load reads the keys for the first time.
func (k *Keys) load(ctx context.Context) (err error) {
	if k.secret != nil {
		err = k.sync(ctx)
	} else {
		_, err = keyring.First(ctx, k.dir, token.ES256)
	}
	if err != nil {
		return err
	}
	k.ring, err = keyring.Open(k.dir, keyring.Options{Logger: k.log})
	return err
}

// join publishes the keys of this node and reads the keys again, until both are
// the same. This is for other nodes that check whether all nodes have read a
// new key. Such a node either sees this one and waits until it has the key, or
// checked before this node read the keys again, so that this node has the key.
func (k *Keys) join(ctx context.Context) error {
	for range attempts {
		ids := k.ids()
		if err := k.publish(ctx, ids); err != nil {
			return err
		}
		if k.secret != nil {
			if err := k.sync(ctx); err != nil {
				return err
			}
		}
		k.ring.Reload()
		if slices.Equal(ids, k.ids()) {
			if err := k.approve(ctx); !errors.Is(err, errUnread) {
				return err
			}
			return nil
		}
	}
	return errors.New("the keys change all the time: another program changes the key folders of the nodes")
}

// checkOthers fails if this node would not share the keys of the other nodes.
// It shares them if the store has a record that Secret decrypts, or if its
// folder has one of the keys of each of them.
func (k *Keys) checkOthers(ctx context.Context) error {
	nodes, err := k.nodes.List(ctx)
	if err != nil {
		return err
	}
	if k.secret != nil {
		// Read the record after the list of nodes: a node writes the record
		// before it publishes keys.
		if _, version, err := k.readRecord(ctx); err != nil || version > 0 {
			return err
		}
	}
	entries, err := keyring.List(k.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, n := range nodes {
		common := slices.ContainsFunc(entries, func(e keyring.Entry) bool { return slices.Contains(n.Keys, e.Key.ID()) })
		switch {
		case len(n.Keys) == 0 || common:
		case k.secret != nil:
			return fmt.Errorf("the node %s has other keys (%s), and the store has none that this cluster_secret_file opens: use the same cluster_secret_file on all nodes", n.ID, strings.Join(n.Keys, ", "))
		default:
			return fmt.Errorf("the key folder %s has none of the keys of the node %s (%s): use the same folder on all nodes, or set cluster_secret_file, so that they share keys through the store", k.dir, n.ID, strings.Join(n.Keys, ", "))
		}
	}
	return nil
}

// awaitSigner waits until a key may sign.
func (k *Keys) awaitSigner(ctx context.Context) error {
	deadline := time.Now().Add(joinTimeout)
	for {
		_, err := k.SigningKey()
		if !errors.Is(err, errUnread) {
			return err
		}
		if !time.Now().Before(deadline) {
			return cmp.Or(k.approve(ctx), err)
		}
		select {
		case <-time.After(pollInterval):
			k.update(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Watch follows the keys of the cluster until ctx is done.
func (k *Keys) Watch(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			k.update(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// update reads the folder and the record once, publishes the keys if they have
// changed, and approves new ones.
func (k *Keys) update(ctx context.Context) {
	k.updating.Lock()
	defer k.updating.Unlock()
	if k.secret != nil {
		k.report(ctx, "cannot synchronize the key folder with the other nodes", k.sync(ctx))
	}
	k.ring.Reload()
	if ids := k.ids(); !slices.Equal(ids, k.published) {
		k.report(ctx, "the other nodes do not know the keys of this one", k.publish(ctx, ids))
	}
	k.report(ctx, "new keys do not sign yet", k.approve(ctx))
}

// report logs an error, unless the previous one of its kind was the same.
func (k *Keys) report(ctx context.Context, what string, err error) {
	switch {
	case ctx.Err() != nil:
	case err == nil:
		delete(k.faults, what)
	case k.faults[what] != err.Error():
		k.faults[what] = err.Error()
		k.log.Error(what, "folder", k.dir, "error", err)
	}
}

// ids returns the sorted IDs of the keys whose tokens are valid.
func (k *Keys) ids() []string {
	ids := []string{}
	for _, e := range k.ring.Entries() {
		if e.Expires.IsZero() || time.Now().Before(e.Expires) {
			ids = append(ids, e.Key.ID())
		}
	}
	slices.Sort(ids)
	return ids
}

func (k *Keys) publish(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if err := k.nodes.PublishKeys(ctx, ids); err != nil {
		return err
	}
	k.published = ids
	return nil
}

// KeySet returns the keys that are currently valid.
func (k *Keys) KeySet(ctx context.Context, id string) (*token.KeySet, error) {
	return k.ring.KeySet(ctx, id)
}
