package gateway

import (
	"context"

	"wsauth"
	"wsauth/internal/gateway/peers"
	"wsauth/internal/nodelease"
	"wsauth/store"
)

// A Cluster lists the nodes that share a store. [*nodelease.Lease] implements
// it.
type Cluster interface {
	// ID returns the ID of this node. It may change.
	ID() string

	// List returns the nodes that are alive.
	List(context.Context) ([]nodelease.Node, error)
}

// peerNodes implements admin.Cluster.
type peerNodes struct {
	Cluster
	*peers.Peers
}

// A sharedStore is a store that several nodes can share.
type sharedStore interface {
	peers.Log
	store.Counters
}

// shareLimits makes the limits of a guard apply to all nodes together.
func (c *Config) shareLimits(guard *wsauth.Config) {
	if c.Cluster != nil {
		guard.Counters, guard.Node = c.Store.(sharedStore), c.Cluster.ID
	}
}

// newPeers returns the Peers that exchange requests with the other nodes, or
// nil without a cluster.
func (c *Config) newPeers() *peers.Peers {
	if c.Cluster == nil {
		return nil
	}
	return peers.New(peers.Config{Log: c.Store.(peers.Log), Node: c.Cluster.ID, Logger: c.Logger})
}

// onEvent returns the handler for events of other nodes, or nil.
func (g *Gateway) onEvent() func(store.Event) {
	if g.peers == nil {
		return nil
	}
	return g.peers.Handle
}
