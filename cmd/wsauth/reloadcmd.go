package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"wsauth/gateway"
	"wsauth/internal/inspect"
)

// reloadPatience is how long a server may take to read its files and to log
// out users who have changed.
const reloadPatience = 20 * time.Second

type reloadCmd struct {
	serverAt
	Confirm bool `help:"Carry out a change that removes more than half of the users, or all routes."`
	JSON    bool `help:"Print JSON, for programs."`
}

// Help is the text under "wsauth reload --help".
func (reloadCmd) Help() string {
	return `Reads the configuration, the users, the certificate and the token of the operators anew, as SIGHUP does, and prints what counts now and every fault. What has a fault stays as it was. So does what would remove more than half of the users, or all routes, unless --confirm is there. Exit status: 0 when everything counts, and 1 when something stays as it was.`
}

// Run has the server read its files, and prints what has become of them.
func (c *reloadCmd) Run(ctx context.Context) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	o.client.Timeout = reloadPatience
	var done gateway.AdminReloaded
	if err := o.post(ctx, "/v1/reload", gateway.AdminReload{Confirm: c.Confirm}, &done); err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(os.Stdout, done); err != nil {
			return err
		}
	} else {
		printLines(os.Stdout, "", done.Changed)
		printLines(os.Stdout, "warning: ", done.Warnings)
		printLines(os.Stderr, "", done.Faults)
		printLines(os.Stderr, "", done.Unconfirmed)
	}
	switch {
	case len(done.Faults) > 0:
		return fmt.Errorf("%s; what has one stays as it was", count(len(done.Faults), "fault"))
	case len(done.Unconfirmed) > 0:
		return errors.New("what waits for confirmation stays as it was: check the file, then run wsauth reload --confirm")
	case len(done.Changed) == 0 && !c.JSON:
		fmt.Println("The server has no files to read anew.")
	}
	return nil
}

// printLines prints texts, each of which may have several lines, with nothing
// in them that a terminal would obey.
func printLines(out io.Writer, prefix string, texts []string) {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			fmt.Fprintln(out, prefix+inspect.Escape(strings.TrimSuffix(line, "\n")))
		}
	}
}
