package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"wsauth/internal/errtext"
	"wsauth/internal/inspect"
	"wsauth/token"
)

type tokenInspectCmd struct {
	tokenText
	tokenRules
}

// Help is the text under "wsauth token inspect --help".
func (tokenInspectCmd) Help() string {
	return `Shows a token without its signature, so that what is shown lets nobody in, though it may say much about a user. With --keys, --data, --config, --jwks or --provider it also says every reason for which the token would be refused; without them nothing is verified. The exit code is 0 for every token that can be read. Example: wsauth token inspect --data=DIR < FILE`
}

// Run prints the token and the faults.
func (c *tokenInspectCmd) Run(ctx context.Context) error {
	text, err := c.read()
	if err != nil {
		return err
	}
	t, now := inspect.Read(text), time.Now()
	if err := t.Write(os.Stdout, now); err != nil {
		return err
	}
	if t.Fault != nil {
		return fmt.Errorf("no verifier of wsauth takes it: %w", t.Fault)
	}
	if !c.given() {
		fmt.Println("Nothing of this was verified. To learn whether it is good, add --keys, --data, --config, --jwks or --provider.")
		return nil
	}
	judge, err := c.open(ctx, t.Raw)
	if err != nil {
		return err
	}
	faults := judge.verifier.Explain(ctx, t.Raw)
	if len(faults) == 0 {
		fmt.Println("It is good.")
		return nil
	}
	fmt.Println("It would be refused:")
	for _, fault := range faults {
		fmt.Println("  - " + judge.words(ctx, fault, t))
	}
	return nil
}

// words is a fault with its hint. One of the keys is no fault of the token.
func (j *judge) words(ctx context.Context, fault error, t inspect.Token) string {
	words := inspect.Printable(strings.TrimPrefix(fault.Error(), "token: "))
	if _, judged := errors.AsType[*token.Error](fault); !judged {
		words = inspect.Printable(errtext.Of(fault))
		if _, why, found := strings.Cut(words, "cannot be fetched: "); found {
			return "its signature cannot be judged now, since the keys cannot be fetched: " + strings.TrimPrefix(why, "key set: ")
		}
		return "its signature cannot be judged now: " + words
	}
	if hint := j.hint(ctx, fault, t); hint != "" {
		words += " (" + hint + ")"
	}
	return words
}

type tokenVerifyCmd struct {
	tokenText
	tokenRules
	Type string `enum:"access,refresh,any" default:"access" placeholder:"TYPE" help:"The type that it must have: access, refresh or any (default: ${default})."`
}

// Help is the text under "wsauth token verify --help".
func (tokenVerifyCmd) Help() string {
	return `Exits with 0 and prints the claims as the token has them, or exits with 1 and prints why it is refused; "wsauth token inspect" says more. Without --keys, --jwks and --provider the keys are those of the server in --data, and the rules those of its --config. Whether the login behind a token was ended, only the server knows.`
}

// Run prints the claims.
func (c *tokenVerifyCmd) Run(ctx context.Context) error {
	text, err := c.read()
	if err != nil {
		return err
	}
	t := inspect.Read(text)
	judge, err := c.open(ctx, t.Raw)
	if err != nil {
		return err
	}
	claims, err := judge.verifier.Verify(ctx, t.Raw)
	if err != nil {
		return fmt.Errorf("refused: %s", judge.words(ctx, err, t))
	}
	if want := token.Type(c.Type); want != claims.Type && c.Type != "any" {
		if claims.Type == "" && c.mayBeSet() {
			return fmt.Errorf("refused: it has no type, and must be %q (%s)", want, nameConfig)
		}
		return fmt.Errorf("refused: its type is %q, not %q", claims.Type, want)
	}
	_, err = fmt.Println(inspect.Escape(string(claims.Payload())))
	return err
}
