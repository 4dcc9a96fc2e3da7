package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"wsauth/internal/adminapi"
	"wsauth/internal/errtext"
	"wsauth/internal/inspect"
)

type reloadCmd struct {
	serverAt
	Confirm bool `help:"Apply a change that removes more than half of the users or all routes."`
	JSON    bool `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth reload --help".
func (reloadCmd) Help() string {
	return `Reads the configuration, the users, the certificate and the operators' token again, like SIGHUP, and prints what changed and all errors. A file with an error is not applied. Without --confirm, neither is a change that removes more than half of the users or all routes. Exit status: 0 if everything was applied, 1 if not.`
}

// Run makes the server read its files, and prints the results.
func (c *reloadCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	done, err := client.Reload(ctx, adminapi.Reload{Confirm: c.Confirm})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(os.Stdout, done); err != nil {
			return err
		}
	} else {
		printLines(os.Stdout, "", done.Changed)
		printLines(os.Stdout, "warning: ", done.Warnings)
		printLines(os.Stderr, "", done.Errors)
		printLines(os.Stderr, "", done.Unconfirmed)
	}
	switch {
	case len(done.Errors) > 0:
		return fmt.Errorf("%s; the settings concerned are unchanged", errtext.Count(len(done.Errors), "error"))
	case len(done.Unconfirmed) > 0:
		return errors.New("these changes were not applied: check the file, then run wsauth reload --confirm")
	case len(done.Changed) == 0 && !c.JSON:
		fmt.Println("The server has no files to read.")
	}
	return nil
}

// printLines prints texts of one or more lines, with control characters
// escaped.
func printLines(out io.Writer, prefix string, texts []string) {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			fmt.Fprintln(out, prefix+inspect.Escape(strings.TrimSuffix(line, "\n")))
		}
	}
}
