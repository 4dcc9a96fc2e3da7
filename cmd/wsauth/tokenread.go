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

// Help returns the text of "wsauth token inspect --help".
func (tokenInspectCmd) Help() string {
	return `Shows a token without its signature, so that the output cannot be used as a credential, though it may contain personal data. With --keys, --data, --config, --jwks or --provider it also lists every reason why the token would be refused; without them nothing is verified. The exit status is 0 for every token that can be parsed. Example: wsauth token inspect --data=DIR < FILE`
}

// Run prints the token and its faults.
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
		return fmt.Errorf("no verifier accepts it: %w", t.Fault)
	}
	if !c.areGiven() {
		fmt.Println("Nothing was verified. To verify the token, add --keys, --data, --config, --jwks or --provider.")
		return nil
	}
	check, err := c.open(ctx, t.Raw)
	if err != nil {
		return err
	}
	faults := check.verifier.Explain(ctx, t.Raw)
	if len(faults) == 0 {
		fmt.Println("It is valid.")
		return nil
	}
	fmt.Println("It would be refused:")
	for _, fault := range faults {
		fmt.Println("  - " + check.explain(ctx, fault, t))
	}
	return nil
}

// explain describes a fault with its hint. An error of the keys is not a fault
// of the token.
func (c *tokenCheck) explain(ctx context.Context, fault error, t inspect.Token) string {
	words := inspect.Printable(strings.TrimPrefix(fault.Error(), "token: "))
	if _, refused := errors.AsType[*token.Error](fault); !refused {
		words = inspect.Printable(errtext.Of(fault))
		if _, why, found := strings.Cut(words, "cannot be fetched: "); found {
			return "its signature cannot be verified now, because the keys cannot be fetched: " + strings.TrimPrefix(why, "key set: ")
		}
		return "its signature cannot be verified now: " + words
	}
	if hint := c.hint(ctx, fault, t); hint != "" {
		words += " (" + hint + ")"
	}
	return words
}

type tokenVerifyCmd struct {
	tokenText
	tokenRules
	Type string `enum:"access,refresh,any" default:"access" placeholder:"TYPE" help:"Required type: access, refresh or any (default: ${default})."`
}

// Help returns the text of "wsauth token verify --help".
func (tokenVerifyCmd) Help() string {
	return `Prints the claims of the token and exits with 0, or prints why it is refused and exits with 1; "wsauth token inspect" tells more. Without --keys, --jwks and --provider it uses the keys of the server in --data and the rules in its --config. Only the server knows whether a token was revoked.`
}

// Run prints the claims.
func (c *tokenVerifyCmd) Run(ctx context.Context) error {
	text, err := c.read()
	if err != nil {
		return err
	}
	t := inspect.Read(text)
	check, err := c.open(ctx, t.Raw)
	if err != nil {
		return err
	}
	claims, err := check.verifier.Verify(ctx, t.Raw)
	if err != nil {
		return fmt.Errorf("refused: %s", check.explain(ctx, err, t))
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
