package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/nodelease"
	"wsauth/internal/privatesock"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A node is a gateway of the cluster of a script.
type node struct {
	url  string
	stop func()
}

// leases lists the nodes of a cluster, also after they have stopped.
type leases []nodelease.Node

// A lease implements gateway.Cluster.
type lease struct {
	all *leases
	id  string
}

func (l lease) ID() string { return l.id }

func (l lease) List(context.Context) ([]nodelease.Node, error) { return slices.Clone(*l.all), nil }

// An unconfirmedStore has replicas that do not confirm revocations.
type unconfirmedStore struct{ *memory.Store }

func (s unconfirmedStore) Revoke(ctx context.Context, r ...store.Revocation) error {
	return errors.Join(s.Store.Revoke(ctx, r...), store.ErrUnconfirmed)
}

// startCluster starts three gateways on one store, with the demonstration and
// the same keys. Each has a socket for operators. The store of c has lost its
// replicas.
func startCluster(ts *testscript.TestScript, _ bool, _ []string) {
	key, err := token.GenerateKey(token.HS256)
	ts.Check(err)
	keys, err := token.NewKeySet(key)
	ts.Check(err)
	shared, all := memory.New(store.Limits{}), &leases{}
	nodes := map[string]node{}
	for _, name := range []string{"a", "b", "c"} {
		*all = append(*all, nodelease.Node{ID: name + "-1", Name: name, Version: "v1", Started: time.Now()})
	}
	for _, n := range *all {
		_, err := shared.KeepNode(context.Background(), store.Node{ID: n.ID}, time.Hour) // its sockets are counted
		ts.Check(err)
		var view store.Store = shared
		if n.Name == "c" {
			view = unconfirmedStore{shared}
		}
		g, err := gateway.New(gateway.Config{
			Tokens: tokens.Config{Keys: keys}, Login: login.Config{Users: demo.Users{}}, Store: view, Cluster: lease{all, n.ID}, Logger: slog.New(slog.DiscardHandler),
		})
		ts.Check(err)
		api, err := g.Admin(admin.Config{Version: n.Version})
		ts.Check(err)
		ctx := context.Background()
		serving, stop := context.WithCancel(ctx)
		operators, err := privatesock.Listen(ctx, ts.MkAbs(n.Name+".sock"))
		ts.Check(err)
		clients, err := front.Listen(ctx, "127.0.0.1:0")
		ts.Check(err)
		var served sync.WaitGroup
		for _, serve := range []func() error{func() error { return g.Serve(serving, clients) }, func() error { return api.Serve(serving, operators) }} {
			served.Go(func() {
				if err := serve(); err != nil {
					ts.Logf("node %s: %v", n.Name, err)
				}
			})
		}
		end := func() {
			stop()
			served.Wait()
		}
		ts.Defer(end)
		nodes[n.Name] = node{"http://" + clients.Addr().String(), end}
	}
	theServer(ts).nodes = nodes
}

// useNode makes the clients of the script use a node.
func useNode(ts *testscript.TestScript, _ bool, args []string) {
	s := theServer(ts)
	s.url = s.nodes[args[0]].url
}

// stopNode stops a node, and leaves it in the list.
func stopNode(ts *testscript.TestScript, _ bool, args []string) { theServer(ts).nodes[args[0]].stop() }
