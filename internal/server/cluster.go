package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"wsauth/internal/clusterkeys"
	"wsauth/internal/nodelease"
	"wsauth/internal/sharedstore"
	"wsauth/store"
)

// openTimeout limits how long the server waits for the store that it shares
// with other nodes.
const openTimeout = 30 * time.Second

// openCluster connects to a store that several nodes share, and joins their
// cluster. The other nodes see this one until the server has stopped.
func (s *Server) openCluster(ctx context.Context, url string) error {
	limits := s.settings.Store
	shared, err := sharedstore.Open(ctx, url, store.Limits{
		Revocations: limits.MaxRevocations,
		Sessions:    limits.MaxSessions,
		Tickets:     limits.MaxTickets,
	}, s.log)
	if err != nil {
		return fmt.Errorf("the store at %s: %w", sharedstore.Display(url), err)
	}
	s.closers = append(s.closers, shared.Close)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s.lease, err = nodelease.Start(ctx, nodelease.Config{Nodes: shared, Version: s.version, Logger: s.log})
	if err != nil {
		return fmt.Errorf("the store at %s: %w", sharedstore.Display(url), err)
	}
	s.onClose(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.lease.Stop(ctx); err != nil {
			s.log.Warn("the other nodes will see this node until its lease ends", "node", s.lease.ID(), "error", err)
		}
	})
	var secret *clusterkeys.Secret
	if file := s.settings.ClusterSecretFile; file != "" {
		if secret, err = clusterkeys.ReadSecret(file); err != nil {
			return fmt.Errorf("cluster_secret_file: %w", err)
		}
	}
	keys, err := s.openClusterKeys(ctx, secret, shared)
	if err != nil {
		return err
	}
	if s.assembly.TicketKey, err = ticketKey(ctx, secret, shared); err != nil {
		return err
	}
	s.log.Info("joined the nodes that share the store", "store", sharedstore.Display(url), "node", s.lease.ID())
	s.keys, s.assembly.Store, s.assembly.Cluster = keys, shared, s.lease
	return nil
}

// openClusterKeys opens the keys that the nodes share. They share them through
// the store if there is a secret, and otherwise by using the same folder.
func (s *Server) openClusterKeys(ctx context.Context, secret *clusterkeys.Secret, records store.Records) (*clusterkeys.Keys, error) {
	c := clusterkeys.Config{Dir: KeyFolder(s.settings.Keys, s.dir), Records: records, Secret: secret, Nodes: s.lease, Logger: s.log}
	if s.settings.Keys == "" {
		if err := adoptKey(s.dir, c.Dir); err != nil {
			return nil, err
		}
	}
	return clusterkeys.Open(ctx, c)
}

// watchKeys follows changes of the keys until the server stops.
func (s *Server) watchKeys(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.keys.Watch(ctx) })
	s.onClose(func() {
		cancel()
		watching.Wait()
	})
}
