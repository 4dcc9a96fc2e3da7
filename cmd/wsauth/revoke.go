package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/adminclient"
	"wsauth/internal/await"
	"wsauth/internal/errtext"
	"wsauth/internal/inspect"
)

type revokeCmd struct {
	serverAt
	Token      string `xor:"what" required:"" placeholder:"JTI" help:"One token, by its jti, and the sockets opened with it."`
	Session    string `xor:"what" required:"" placeholder:"SID" help:"One session, by its sid: its tokens and its sockets."`
	User       string `xor:"what" required:"" placeholder:"NAME" help:"All sessions of a user. Names of identity providers' users include the namespace, as in okta|ada."`
	Everything bool   `xor:"what" required:"" help:"Everything: all users must log in again. Asks for confirmation unless --yes is set."`
	Before     string `placeholder:"TIME" help:"With --user or --everything: only what started until this time, such as 2026-01-31T12:00:00Z (default: now)."`
	Yes        bool   `help:"Do not ask for confirmation."`
	JSON       bool   `help:"Print JSON, for programs."`
}

// Help returns the text of "wsauth revoke --help".
func (revokeCmd) Help() string {
	return `The running server closes the sockets immediately with code 3000, and stores the revocation before it answers. The other nodes of its cluster follow at once, but the number of sockets is that of the server that is asked. A revocation cannot be undone. Users can log in again: to lock a user out, first remove the name from the user file.`
}

// Validate checks --before.
func (c *revokeCmd) Validate() error {
	if c.Before == "" {
		return nil
	}
	if c.User == "" && !c.Everything {
		return errors.New("--before is only for --user and --everything: tokens and sessions are revoked completely")
	}
	at, err := time.Parse(time.RFC3339, c.Before)
	switch {
	case err != nil:
		return fmt.Errorf("--before=%q: must be a time such as 2026-01-31T12:00:00Z, or with another time zone 2026-01-31T13:00:00+01:00", c.Before)
	case at.After(time.Now()):
		return fmt.Errorf("--before=%s is in the future: no user could log in until then", c.Before)
	}
	return nil
}

// Run revokes, and prints what has ended.
func (c *revokeCmd) Run(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if c.Everything && !c.Yes {
		if err := c.confirm(ctx); err != nil {
			return err
		}
	}
	done, err := client.Revoke(ctx, c.order())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, done)
	}
	fmt.Println(inWords(done))
	if !done.Confirmed {
		fmt.Println("It is accepted, but no replica of the store has confirmed it: if the store fails over to one that lacks it, it is lost.")
	}
	return nil
}

// order returns the request that the flags describe.
func (c *revokeCmd) order() adminapi.Revoke {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	order := adminapi.Revoke{Token: optional(c.Token), Session: optional(c.Session), User: optional(c.User), Before: optional(c.Before)}
	if c.Everything {
		order.Everything = &c.Everything
	}
	return order
}

// inWords describes what has ended.
func inWords(done adminapi.Revoked) string {
	name := inspect.Printable(done.ID)
	sockets := errtext.Count(done.Sockets, "open socket") + " ended"
	if done.Node != "" {
		sockets += " on this node, and the other nodes end theirs"
	}
	switch done.Target {
	case "token":
		return fmt.Sprintf("The token %s is revoked; %s.", name, sockets)
	case "session":
		return fmt.Sprintf("The session %s has ended; %s.", name, sockets)
	case "user":
		sessions := 0
		if done.Sessions != nil {
			sessions = *done.Sessions
		}
		return fmt.Sprintf("Everything that %s started until %s is revoked: %s and %s.", name, inspect.Printable(done.Before), errtext.Count(sessions, "session"), sockets)
	}
	return fmt.Sprintf("Everything that started until %s is revoked; %s.", inspect.Printable(done.Before), sockets)
}

// confirm asks for confirmation on the terminal.
func (c *revokeCmd) confirm(ctx context.Context) error {
	if !isTerminal(os.Stdin) {
		return errors.New("--everything ends every session: without a terminal it needs --yes")
	}
	all, unanswered := askNodes(ctx, atNodes{serverAt: c.serverAt}, func(ctx context.Context, node *adminclient.Client) (adminapi.Status, error) {
		return node.Status(ctx)
	})
	if len(all) == 0 {
		return unanswered
	}
	sockets := 0
	for _, a := range all {
		sockets += a.value.Open.Sockets
	}
	warning := fmt.Sprintf("This ends every session, and up to %s that are now open", errtext.Count(sockets, "socket"))
	if unanswered != nil {
		warning += ", and those of the nodes that do not respond"
	}
	return confirm(ctx, os.Stdin, os.Stderr, warning+".")
}

// confirm prints a warning and requires a word as confirmation.
func confirm(ctx context.Context, in io.Reader, out io.Writer, warning string) error {
	fmt.Fprintf(out, "%s\nType everything to continue: ", warning)
	answer, err := await.Do(ctx, func() (string, error) { return readLine(bufio.NewReader(in)) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || answer != "everything":
		return errors.New("nothing was revoked")
	}
	return nil
}
