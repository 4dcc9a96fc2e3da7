package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/internal/inspect"
	"wsauth/store"
	"wsauth/token"
)

// A tokenCmd issues and reads tokens.
type tokenCmd struct {
	Issue   tokenIssueCmd   `cmd:"" help:"Issue a token and print it."`
	Inspect tokenInspectCmd `cmd:"" help:"Print the content of a token and everything that is wrong with it."`
	Verify  tokenVerifyCmd  `cmd:"" help:"Verify a token: print its claims as JSON, or fail with the reason."`
}

// Help returns the text of "wsauth token --help".
func (tokenCmd) Help() string {
	return `While a token is valid, it is as sensitive as a password. Pass it on standard input rather than as an argument, which other users of this machine can see in the list of processes.`
}

// A tokenText is the token argument of a command.
type tokenText struct {
	Token string `arg:"" optional:"" help:"The token; \"-\" or nothing reads it from standard input."`
}

// read returns the token.
func (t tokenText) read() (string, error) {
	if t.Token != "" && t.Token != "-" {
		return t.Token, nil
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, inspect.MaxBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the token: %w", err)
	case len(text) > inspect.MaxBytes:
		return "", fmt.Errorf("standard input is longer than %d bytes: not a token", inspect.MaxBytes)
	case len(strings.TrimSpace(string(text))) == 0:
		return "", errors.New("no token on standard input; for example: wsauth token inspect < FILE")
	}
	return string(text), nil
}

type tokenIssueCmd struct {
	Keys     string        `placeholder:"PATH" help:"Folder of keys, of which the newest signs, or a file with one private key or secret (default: the keys of the server in --data)."`
	Data     string        `placeholder:"DIR" help:"Data folder of the server (default: $$WSAUTH_DATA, or wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	Sub      string        `required:"" placeholder:"NAME" help:"User that the token is for."`
	Type     string        `enum:"access,refresh" default:"access" placeholder:"TYPE" help:"access or refresh (default: ${default})."`
	TTL      time.Duration `name:"ttl" placeholder:"DURATION" help:"Lifetime (default: 15m, or 720h for a refresh token)."`
	Fresh    bool          `help:"Mark it as fresh, as after entering a password."`
	CSRF     bool          `name:"csrf" help:"Add a CSRF value, for a token in a cookie."`
	Issuer   string        `placeholder:"URL" help:"iss of the token (default: none)."`
	Audience []string      `placeholder:"NAME" help:"aud of the token; may be repeated (default: none)."`
	SID      string        `name:"sid" placeholder:"ID" help:"Session of the token (default: a new one, which begins now)."`
	Claim    []string      `sep:"none" placeholder:"NAME=VALUE" help:"Additional claim: VALUE is JSON or else a string; may be repeated."`
}

// Help returns the text of "wsauth token issue --help".
func (tokenIssueCmd) Help() string {
	return `Signs with the keys of the server, so that the server accepts the token: for tests, scripts and machines. Example: curl -H "Authorization: Bearer $(wsauth token issue --sub=robot --ttl=1h)" …`
}

// Run prints the token.
func (c *tokenIssueCmd) Run() error {
	claims, err := claimFlags(c.Claim)
	if err != nil {
		return err
	}
	where, err := keysAt(c.Keys, c.Data)
	if err != nil {
		return err
	}
	signer, err := openSigner(where)
	if err != nil {
		return err
	}
	t, err := c.issue(signer, claims)
	if err != nil {
		return inFlags(err, "token: Options.TTL", "--ttl", "token: Options.Claims", "--claim", "token: subject or Options.Claims", "--sub or --claim")
	}
	_, err = fmt.Println(t.Raw)
	return err
}

// issue issues the token. Its dates are in whole seconds, so it has a session
// ID that shows whether it is newer than a revocation within the same second.
func (c *tokenIssueCmd) issue(signer token.Signer, claims map[string]any) (*token.Token, error) {
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: signer, Issuer: c.Issuer, Audience: c.Audience})
	if err != nil {
		return nil, err
	}
	session := c.SID
	if session == "" {
		session = store.NewSessionID(time.Now())
	}
	issue := issuer.Access
	if c.Type == string(token.TypeRefresh) {
		issue = issuer.Refresh
	}
	return issue(c.Sub, token.Options{Fresh: c.Fresh, TTL: c.TTL, SessionID: session, CSRF: c.CSRF, Claims: claims})
}

// inFlags replaces the names of fields in err by the flags that set them.
func inFlags(err error, oldnew ...string) error {
	return errors.New(strings.NewReplacer(oldnew...).Replace(err.Error()))
}

// claimFlags parses NAME=VALUE pairs.
func claimFlags(pairs []string) (map[string]any, error) {
	claims := map[string]any{}
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return nil, fmt.Errorf("--claim=%q: must be NAME=VALUE", pair)
		}
		if _, twice := claims[name]; twice {
			return nil, fmt.Errorf("--claim: %q is set twice; for several values write a JSON array: --claim='%s=[…]'", name, name)
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			v = value
		}
		claims[name] = v
	}
	return claims, nil
}
