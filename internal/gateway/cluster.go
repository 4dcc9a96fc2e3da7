package gateway

import (
	"context"

	"wsauth/internal/adminapi"
	"wsauth/internal/gateway/peers"
	"wsauth/store"
)

// A Cluster lists the nodes that share a store, such as by their leases.
type Cluster interface {
	// ID returns the ID of this node. It may change.
	ID() string

	// Nodes returns the nodes that are alive, without This.
	Nodes(context.Context) ([]adminapi.Node, error)
}

// peerNodes implements admin.Cluster.
type peerNodes struct {
	Cluster
	*peers.Peers
}

// newPeers returns what sends requests to the other nodes, or nil if there are
// none.
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
