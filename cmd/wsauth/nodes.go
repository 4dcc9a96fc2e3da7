package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"wsauth/internal/adminapi"
	"wsauth/internal/adminclient"
)

type nodesCmd struct {
	serverAt
	JSON bool `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth nodes --help".
func (nodesCmd) Help() string {
	return `Nodes share a store. Any of them can list the sessions of the others, and drain them. A node that was killed is listed until its lease has ended.`
}

// Run prints the nodes.
func (c *nodesCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	nodes, err := client.Nodes(ctx)
	if err != nil {
		return err
	}
	var all []row
	for _, n := range nodes {
		all = append(all, nodeRow(n))
	}
	return printList(os.Stdout, c.JSON, false, "NAME\tID\tSTARTED\tTHIS\tVERSION", all)
}

// A nodeRow is a node in the output.
type nodeRow adminapi.Node

func (nodeRow) at() string { return "" } // the row itself names the node

func (n nodeRow) row() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", cell(n.Name), cell(n.ID), moment(n.Started), map[bool]string{true: "yes", false: "-"}[n.This], cell(n.Version))
}

// atNodes are the flags that select nodes.
type atNodes struct {
	serverAt
	Node string `placeholder:"NAME" help:"Ask only this node of the cluster, by its name or ID (default: all nodes)."`
}

// An answer is the answer of a node.
type answer[T any] struct {
	node  string // its name, or its ID if others have the same name; empty if it is the only one
	value T
}

// askNodes calls ask with a client of each selected node, in parallel, and
// returns the answers. The error names the nodes that have not answered.
func askNodes[T any](ctx context.Context, at atNodes, ask func(context.Context, *adminclient.Client) (T, error)) ([]answer[T], error) {
	client, err := at.client()
	if err != nil {
		return nil, err
	}
	nodes := []adminapi.Node{{ID: at.Node}}
	if at.Node == "" {
		if nodes, err = client.Nodes(ctx); err != nil {
			return nil, err
		}
	}
	names, all, errs := namesOf(nodes), make([]answer[T], len(nodes)), make([]error, len(nodes))
	var asking sync.WaitGroup
	for i, n := range nodes {
		there := client.At(n.ID)
		if n.This {
			there = client
		}
		asking.Go(func() {
			all[i].node = names[i]
			all[i].value, errs[i] = ask(ctx, there)
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var answers []answer[T]
	for i, err := range errs {
		switch {
		case err == nil:
			answers = append(answers, all[i])
		case names[i] == "":
		case errors.Is(err, adminclient.ErrNoResponse):
			errs[i] = fmt.Errorf("node %s has not responded within a second", cell(names[i]))
		default:
			errs[i] = fmt.Errorf("node %s: %w", cell(names[i]), err)
		}
	}
	return answers, errors.Join(errs...)
}

// namesOf returns a name for each of several nodes: its own, or its ID if
// others have the same name. A single node needs none.
func namesOf(nodes []adminapi.Node) []string {
	names := make([]string, len(nodes))
	if len(nodes) == 1 {
		return names
	}
	count := map[string]int{"": 2}
	for _, n := range nodes {
		count[n.Name]++
	}
	for i, n := range nodes {
		if names[i] = n.Name; count[n.Name] > 1 {
			names[i] = n.ID
		}
	}
	return names
}
