package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"wsauth"
	"wsauth/internal/wsclient"
)

// The environment that holds secrets of "wsauth connect".
const (
	passwordEnv = "WSAUTH_PASSWORD"
	tokenEnv    = "WSAUTH_TOKEN"
)

// A connectCmd opens a socket, and shows what happens to it.
type connectCmd struct {
	URL string `arg:"" name:"url" help:"Address of the socket, such as ws://127.0.0.1:8000/ws."`

	User         string `placeholder:"NAME" help:"Log in as this user, and log out at the end. The password is asked for on the terminal, or is in --password-file or $$WSAUTH_PASSWORD."`
	PasswordFile string `placeholder:"FILE" help:"File with the password; - is the first line of standard input."`
	TokenFile    string `placeholder:"FILE" help:"File with a token to use instead of a login; - is the first line of standard input. Without it and --user, $$WSAUTH_TOKEN is the token, if it is set."`
	Via          string `placeholder:"PLACE" help:"Where the credential travels: ticket, header, first-message, subprotocol, query or none, and what it is called there if that is not usual, as in query:access_token (default: ticket with --user, header with a token, else none)."`
	AuthPrefix   string `default:"/auth" placeholder:"PATH" help:"Where the server has its logins: a path, or a URL of another server (default: ${default})."`

	Send  []string      `sep:"none" placeholder:"TEXT" help:"Send this message first; repeat for more."`
	Count int           `placeholder:"N" help:"Close the socket after N messages from the server (default: no limit)."`
	Wait  time.Duration `placeholder:"DURATION" help:"Close the socket after this time, such as 5s; that is a failure where --count is not reached by then (default: no limit)."`
	JSON  bool          `name:"json" help:"Print all that happens as JSON on standard output, one object a line."`

	Origin      string   `placeholder:"URL" help:"Origin to send, as a page of it would."`
	Header      []string `sep:"none" placeholder:"NAME:VALUE" help:"Header field to send with every request; repeat for more. Host is the host to ask for."`
	Subprotocol []string `placeholder:"NAME" help:"Subprotocol to offer; repeat for more."`

	NoRenew     bool  `help:"Do not refresh the session of --user: see how the socket ends with the access token."`
	KeepSession bool  `help:"Do not log out at the end."`
	MaxMessage  int64 `default:"1048576" placeholder:"BYTES" help:"Length of the longest message to take; a longer one closes the socket (default: ${default})."`

	Timeout            time.Duration `default:"15s" placeholder:"DURATION" help:"How long to wait for each answer (default: ${default})."`
	CA                 string        `name:"ca" placeholder:"FILE" help:"Certificates to trust beside those of the system, in PEM."`
	InsecureSkipVerify bool          `help:"Trust any certificate of the server."`
	InsecurePlaintext  bool          `help:"Send the credential to other machines over ws:// or http:// too, where others can read it."`
}

// Help is the text under "wsauth connect --help".
func (connectCmd) Help() string {
	return `Prints each message that comes on standard output, and sends each line of standard input. What else happens is on standard error: at the end the close code, what it means, and what to do. Ctrl-C closes the socket and logs out; so does Ctrl-D on a terminal, while the end of a file or a pipe closes nothing. It renews the session as the module for browsers does, but does not reconnect.

Exit status: 0 where the socket was closed as agreed (1000, by either side); 2 where the server said no, in its answer to the login or the handshake, or by another close code; 1 where anything else failed.

Examples:
  wsauth connect ws://127.0.0.1:8000/ws --user=test
  wsauth token issue --sub=robot | wsauth connect wss://app.example/ws --token-file=-
  wsauth connect wss://app.example/ws --send=hello --count=1 --wait=5s --json`
}

// Validate checks what the flags mean.
func (c *connectCmd) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.User != "" && c.TokenFile != "" {
		fault("--token-file: with --user the token is that of the login; leave one of the two out")
	}
	if c.User == "" && c.PasswordFile != "" {
		fault("--password-file: whose password it is, --user says")
	}
	if c.Count < 0 {
		fault("--count=%d: must be more than 0", c.Count)
	}
	if c.Wait < 0 || c.Timeout <= 0 {
		fault("--wait=%s --timeout=%s: must be more than 0s", c.Wait, c.Timeout)
	}
	if c.MaxMessage < 1 {
		fault("--max-message=%d: must be more than 0", c.MaxMessage)
	}
	if c.Origin != "" {
		if err := wsauth.CheckOrigin(c.Origin); err != nil {
			fault("--origin: %w", err)
		}
	}
	return errors.Join(faults...)
}

// An exit is an error with an exit status.
type exit struct {
	error
	status int
}

// ExitCode is read by kong.
func (e exit) ExitCode() int { return e.status }

// Unwrap returns the error.
func (e exit) Unwrap() error { return e.error }

// Run connects.
func (c *connectCmd) Run(ctx context.Context) error {
	report := &wsclient.Reporter{Out: os.Stdout, Err: os.Stderr, JSON: c.JSON, Escape: isTerminal(os.Stdout)}
	in := newInput(os.Stdin)
	config, err := c.config(ctx, in, report)
	if err != nil {
		return err
	}
	client, err := wsclient.New(config)
	if err != nil {
		return err
	}
	if c.InsecureSkipVerify {
		if err := report.Warn("any certificate of the server is trusted"); err != nil {
			return err
		}
	}
	go in.read(c.MaxMessage)       // it ends with the process
	signal.Ignore(syscall.SIGPIPE) // where nobody reads the output any more, there is a logout to do
	stopsItself(ctx)
	err = client.Run(ctx)
	_, refused := errors.AsType[*wsclient.Refusal](err)
	end, ended := errors.AsType[*wsclient.End](err)
	if refused || ended && end.By == wsclient.ByServer {
		return exit{err, 2}
	}
	return err
}

// config is what the flags say.
func (c *connectCmd) config(ctx context.Context, in *input, report *wsclient.Reporter) (config wsclient.Config, err error) {
	config = wsclient.Config{
		User:              c.User,
		Origin:            c.Origin,
		Subprotocols:      c.Subprotocol,
		Send:              c.Send,
		Input:             in.lines,
		Count:             c.Count,
		Wait:              c.Wait,
		NoRenew:           c.NoRenew,
		KeepSession:       c.KeepSession,
		InsecurePlaintext: c.InsecurePlaintext,
		Timeout:           c.Timeout,
		MaxMessage:        c.MaxMessage,
		Report:            report,
	}
	if config.Target, err = wsclient.ParseTarget(c.URL, c.AuthPrefix); err != nil {
		return config, err
	}
	for _, field := range c.Header {
		if err := config.AddHeader(field); err != nil {
			return config, fmt.Errorf("--header: %w", err)
		}
	}
	if config.TLS, err = c.tls(); err != nil {
		return config, err
	}
	if config.Token, err = c.token(in); err != nil {
		return config, err
	}
	if config.Via, err = c.via(config.Token != ""); err != nil {
		return config, fmt.Errorf("--via=%s: %w", c.Via, err)
	}
	if err := config.Check(); err != nil { // before a person is asked for a password that is not needed
		return config, err
	}
	if c.User != "" {
		if config.Password, err = c.password(ctx, in); err == nil && config.Password == "" {
			err = errors.New("the password is empty")
		}
	}
	return config, err
}

// via is where the credential travels, "" being the usual place.
func (c *connectCmd) via(token bool) (wsclient.Via, error) {
	place := c.Via
	switch {
	case place != "":
	case c.User != "":
		place = string(wsclient.InTicket)
	case token:
		place = string(wsclient.InHeader)
	default:
		place = string(wsclient.Nowhere)
	}
	return wsclient.ParseVia(place)
}

// token is the user's own, "" where there is none.
func (c *connectCmd) token(in *input) (string, error) {
	if c.User != "" {
		return "", nil
	}
	where, text := "--token-file="+c.TokenFile, ""
	var err error
	switch c.TokenFile {
	case "":
		if where, text = tokenEnv, os.Getenv(tokenEnv); text == "" {
			return "", nil
		}
	case "-":
		text, err = in.first()
	default:
		var file []byte
		file, err = readBounded(c.TokenFile, maxSecret)
		text = string(file)
	}
	if err == nil {
		text, err = wsclient.CheckToken(text)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	return text, nil
}

// password is that of the user.
func (c *connectCmd) password(ctx context.Context, in *input) (string, error) {
	switch c.PasswordFile {
	case "":
	case "-":
		return in.first()
	default:
		text, err := readBounded(c.PasswordFile, maxSecret)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if text := os.Getenv(passwordEnv); text != "" {
		return text, nil
	}
	return in.ask(ctx, "Password: ")
}
