package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wsauth/gateway"
	"wsauth/internal/inspect"
)

type revokeCmd struct {
	serverAt
	Token      string `xor:"what" required:"" placeholder:"JTI" help:"One token, by its jti, and the sockets that have it."`
	Session    string `xor:"what" required:"" placeholder:"SID" help:"One session, by its sid: its tokens and its sockets."`
	User       string `xor:"what" required:"" placeholder:"NAME" help:"All that a user has begun. Users of identity providers have the namespace in front, as in okta|ada."`
	Everything bool   `xor:"what" required:"" help:"All that anybody has begun: everybody has to log in again. It asks first, unless --yes is there."`
	Before     string `placeholder:"TIME" help:"With --user and --everything: only what began until then, such as 2026-01-31T12:00:00Z (default: now)."`
	Yes        bool   `help:"Do not ask."`
	JSON       bool   `help:"Print JSON, for programs."`
}

// Help is the text under "wsauth revoke --help".
func (revokeCmd) Help() string {
	return `Asks the running server, which ends the sockets at once, each with code 3000, and writes down what was revoked before it answers. What is revoked stays so. A user can log in again: to keep one out, remove the name from the file of the users first.`
}

// Validate checks what kong does not.
func (c *revokeCmd) Validate() error {
	if c.Before == "" {
		return nil
	}
	if c.User == "" && !c.Everything {
		return errors.New("--before goes with --user and --everything: a token and a session are revoked altogether")
	}
	at, err := time.Parse(time.RFC3339, c.Before)
	switch {
	case err != nil:
		return fmt.Errorf("--before=%q: it must be a moment such as 2026-01-31T12:00:00Z, or with another time zone 2026-01-31T13:00:00+01:00", c.Before)
	case at.After(time.Now()):
		return fmt.Errorf("--before=%s lies in the future: whoever logs in until then could not", c.Before)
	}
	return nil
}

// Run revokes, and says what has ended.
func (c *revokeCmd) Run(ctx context.Context) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	if c.Everything && !c.Yes {
		if err := c.confirm(ctx, o); err != nil {
			return err
		}
	}
	var done gateway.AdminRevoked
	if err := o.post(ctx, "/v1/revoke", c.order(), &done); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(os.Stdout, done)
	}
	fmt.Println(inWords(done))
	return nil
}

// order is what the flags say.
func (c *revokeCmd) order() gateway.AdminRevoke {
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	order := gateway.AdminRevoke{Token: given(c.Token), Session: given(c.Session), User: given(c.User), Before: given(c.Before)}
	if c.Everything {
		order.Everything = &c.Everything
	}
	return order
}

// inWords says what was ended.
func inWords(done gateway.AdminRevoked) string {
	name := inspect.Printable(done.ID)
	sockets := count(done.Sockets, "open socket") + " ended"
	switch done.Scope {
	case "token":
		return fmt.Sprintf("The token %s is revoked; %s.", name, sockets)
	case "session":
		return fmt.Sprintf("The session %s has ended; %s.", name, sockets)
	case "user":
		logins := 0
		if done.Sessions != nil {
			logins = *done.Sessions
		}
		return fmt.Sprintf("All that %s began until %s is revoked: %s and %s.", name, inspect.Printable(done.Before), count(logins, "login"), sockets)
	}
	return fmt.Sprintf("All that anybody began until %s is revoked; %s.", inspect.Printable(done.Before), sockets)
}

// confirm asks the person at the terminal.
func (c *revokeCmd) confirm(ctx context.Context, o *operator) error {
	if !isTerminal(os.Stdin) {
		return errors.New("--everything ends every login: where nobody can be asked it needs --yes")
	}
	var s gateway.AdminStatus
	if err := o.get(ctx, "/v1/status", nil, &s); err != nil {
		return err
	}
	return confirm(ctx, os.Stdin, os.Stderr, fmt.Sprintf("This ends every login, and up to %s that are open now.", count(s.Open.Sockets, "socket")))
}

// confirm wants a word in answer to a warning.
func confirm(ctx context.Context, in io.Reader, out io.Writer, warning string) error {
	fmt.Fprintf(out, "%s\nType everything to go on: ", warning)
	answer, err := await(ctx, func() (string, error) { return readLine(bufio.NewReader(in)) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || answer != "everything":
		return errors.New("nothing was revoked")
	}
	return nil
}
