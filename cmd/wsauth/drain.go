package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"wsauth/gateway"
)

// drainedEvery is how often a server that drains is asked how far it is.
const drainedEvery = 200 * time.Millisecond

type drainCmd struct {
	serverAt
	Within time.Duration `placeholder:"DURATION" help:"How long it may take: whole seconds, at most 1h (default: drain of the server, 10s unless it was set)."`
	NoWait bool          `help:"Do not wait until all sockets have ended."`
	JSON   bool          `help:"Print JSON, for programs: one object when it begins and, unless --no-wait is there, the status of the server at the end."`
}

// Help is the text under "wsauth drain --help".
func (drainCmd) Help() string {
	return `Takes a server out of service before it is stopped: /readyz answers 503 from now on, no socket is let in any more, and those that are open end with code 1012, one after the other, upon which their clients come back elsewhere. Plain requests are answered as before. There is no way back: stop the server then. It is what an orchestrator runs before SIGTERM.`
}

// Validate checks what kong does not.
func (c *drainCmd) Validate() error {
	if c.Within != 0 && (c.Within < time.Second || c.Within > time.Hour || c.Within%time.Second != 0) {
		return fmt.Errorf("--within=%s: must be whole seconds, from 1s to 1h", c.Within)
	}
	return nil
}

// Run has the server drain, and waits for it.
func (c *drainCmd) Run(ctx context.Context) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	var order gateway.AdminDrain
	if seconds := int64(c.Within / time.Second); seconds > 0 {
		order.Within = &seconds
	}
	var begun gateway.AdminDraining
	if err := o.post(ctx, "/v1/drain", order, &begun); err != nil {
		return err
	}
	within := time.Duration(begun.Within) * time.Second
	if c.JSON {
		if err := printJSON(os.Stdout, begun); err != nil {
			return err
		}
	} else {
		fmt.Printf("Nobody is let in any more; %s within %s.\n", count(begun.Sockets, "open socket")+" will end", within)
	}
	if c.NoWait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within+operatorPatience)
	defer cancel()
	status, err := awaitDrained(ctx, o)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(os.Stdout, status)
	}
	fmt.Println("All sockets have ended.")
	return nil
}

// awaitDrained waits until no socket is open, and returns the status of the
// server then.
func awaitDrained(ctx context.Context, o *operator) (gateway.AdminStatus, error) {
	tick := time.NewTicker(drainedEvery)
	defer tick.Stop()
	for {
		var s gateway.AdminStatus
		err := o.get(ctx, "/v1/status", nil, &s)
		if err == nil && s.Open.Sockets == 0 {
			return s, nil
		}
		if err != nil && ctx.Err() == nil {
			return s, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return s, fmt.Errorf("%s are still open, and will be cut when the server stops", count(s.Open.Sockets, "socket"))
			}
			return s, ctx.Err()
		}
	}
}
