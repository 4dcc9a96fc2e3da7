package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"wsauth"
	"wsauth/internal/adminapi"
	"wsauth/internal/adminclient"
	"wsauth/internal/errtext"
	"wsauth/internal/inspect"
)

type statusCmd struct {
	atNodes
	JSON bool `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth status --help".
func (statusCmd) Help() string {
	return `It prints the status of each node of a cluster. With --json, these are objects, one per line. Nodes that do not respond within a second are errors, after the status of the others.`
}

// Run prints the status of the running servers.
func (c *statusCmd) Run(ctx context.Context) error {
	all, unanswered := askNodes(ctx, c.atNodes, func(ctx context.Context, node *adminclient.Client) (adminapi.Status, error) {
		return node.Status(ctx)
	})
	for i, a := range all {
		if c.JSON {
			err := printJSON(os.Stdout, struct {
				Node string `json:"node,omitzero"` // if there are several
				adminapi.Status
			}{a.node, a.value})
			if err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Println()
		}
		if a.node != "" {
			fmt.Printf("node      %s\n", cell(a.node))
		}
		printStatus(a.value)
	}
	return unanswered
}

// printStatus prints the status of a server for people.
func printStatus(s adminapi.Status) {
	fmt.Printf("version   %s\n", cell(s.Version))
	fmt.Printf("started   %s, %s ago\n", moment(s.Started), time.Duration(s.Uptime)*time.Second)
	fmt.Printf("ready     %s\n", readiness(s))
	if r := s.Revocations; r.Limit > 0 {
		fmt.Printf("revoked   %d of %d entries of the log are in use\n", r.Entries, r.Limit)
	}
	if s.Revocations.Pending > 0 {
		fmt.Printf("pending   %s, not yet in the store: a restart may lose them\n", errtext.Count(s.Revocations.Pending, "revocation"))
	}
	fmt.Printf("open      %s of %s and %s\n", errtext.Count(s.Open.Sockets, "socket"), errtext.Count(s.Open.Sessions, "session"), errtext.Count(s.Open.Users, "user"))
	fmt.Printf("          %s longer than a second\n", errtext.Count(s.Open.Requests, "request"))
	for _, r := range s.Routes {
		asks := r.Requirement
		if r.Public {
			asks = "public"
		}
		fmt.Printf("route     %s: %s\n", inspect.Printable(r.Host+r.Path), cell(asks))
		for _, u := range r.Upstreams {
			fmt.Printf("  to      %s: %s\n", inspect.Printable(u.Address), map[bool]string{true: "healthy", false: "unhealthy, gets no requests"}[u.Healthy])
		}
	}
}

// readiness says whether a server accepts clients, and if not, why.
func readiness(s adminapi.Status) string {
	switch {
	case s.Ready && s.Degraded:
		return "yes, but degraded: the store accepts no revocations now"
	case s.Ready:
		return "yes"
	case s.Reason == string(wsauth.Restarting):
		return "no: it is draining and accepts no new sockets"
	}
	return "no: it does not know what is revoked and accepts no credentials"
}
