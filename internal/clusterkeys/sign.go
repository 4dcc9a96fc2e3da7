package clusterkeys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"wsauth/internal/nodelease"
	"wsauth/token"
	"wsauth/token/keyring"
)

// errUnread means that a key may not sign, because some node has not read it.
var errUnread = errors.New("a new key signs when all nodes have read it")

// SigningKey returns the newest key that can sign and that all nodes have read.
func (k *Keys) SigningKey() (*token.Key, error) {
	approved, now := *k.approved.Load(), time.Now()
	for _, e := range k.ring.Entries() {
		if e.Signs(now) && approved[e.Key.ID()] {
			return e.Key, nil
		}
	}
	if _, err := k.ring.SigningKey(); err != nil {
		return nil, err
	}
	return nil, errUnread
}

// approve determines which keys may sign from now on: those that all nodes have
// read and, with a Secret, that are in the record. Once approved, a key may
// sign until it is removed, because a node that starts later reads the record
// before it accepts tokens.
func (k *Keys) approve(ctx context.Context) error {
	before := *k.approved.Load()
	next := map[string]bool{}
	var waiting []string
	for _, e := range k.ring.Entries() {
		id := e.Key.ID()
		switch {
		case before[id]:
			next[id] = true
		case isUsable(e) && (k.secret == nil || k.shared[id]):
			waiting = append(waiting, id)
		}
	}
	if len(waiting) == 0 {
		if !maps.Equal(before, next) {
			k.approved.Store(&next)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	nodes, err := k.nodes.List(ctx)
	if err == nil {
		for _, id := range waiting {
			if lacking := nodelease.LacksKey(nodes, id); len(lacking) > 0 {
				err = fmt.Errorf("%w: the node %s has not read the key %s", errUnread, lacking[0].ID, id)
				continue
			}
			next[id] = true
		}
	}
	k.approved.Store(&next)
	return err
}

// isUsable reports whether a key can sign now or later.
func isUsable(e keyring.Entry) bool {
	return e.Key.CanSign() && (e.Expires.IsZero() || time.Now().Before(e.Expires))
}
