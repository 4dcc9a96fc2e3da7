package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/errtext"
)

type drainCmd struct {
	serverAt
	Node   string        `arg:"" optional:"" help:"Another node of the cluster, by its name or ID (default: the server that is asked)."`
	Within time.Duration `placeholder:"DURATION" help:"Time limit, in whole seconds, at most 1h (default: the server's setting drain, 10s if unset)."`
	NoWait bool          `help:"Do not wait until all sockets have ended."`
	JSON   bool          `help:"Print JSON, for programs: one object at the beginning and, without --no-wait, the status of the server at the end."`
}

// Help returns the text of "wsauth drain --help".
func (drainCmd) Help() string {
	return `/readyz answers 503, new sockets are refused, and open sockets are closed one after the other with code 1012, so that their clients reconnect to other servers. Plain requests are still answered. This cannot be undone: stop the server afterwards. Orchestrators run it before SIGTERM.`
}

// Validate checks the range of --within.
func (c *drainCmd) Validate() error {
	if c.Within != 0 && (c.Within < time.Second || c.Within > time.Hour || c.Within%time.Second != 0) {
		return fmt.Errorf("--within=%s: must be whole seconds, from 1s to 1h", c.Within)
	}
	return nil
}

// Run makes the server drain, and waits until it has.
func (c *drainCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	client = client.At(c.Node)
	var order adminapi.Drain
	if seconds := int64(c.Within / time.Second); seconds > 0 {
		order.Within = &seconds
	}
	draining, err := client.Drain(ctx, order)
	if err != nil {
		return err
	}
	within := time.Duration(draining.Within) * time.Second
	if c.JSON {
		if err := printJSON(os.Stdout, draining); err != nil {
			return err
		}
	} else {
		fmt.Printf("No new sockets are accepted; %s will end within %s.\n", errtext.Count(draining.Sockets, "open socket"), within)
	}
	if c.NoWait {
		return nil
	}
	// The server may take some time to answer.
	status, err := client.AwaitDrained(ctx, within+5*time.Second)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(os.Stdout, status)
	}
	fmt.Println("All sockets have ended.")
	return nil
}
