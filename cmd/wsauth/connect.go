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

	"wsauth/internal/httpx"
	"wsauth/internal/wsclient"
)

// Environment variables with secrets for "wsauth connect".
const (
	passwordEnv = "WSAUTH_PASSWORD"
	tokenEnv    = "WSAUTH_TOKEN"
)

// A connectCmd opens a socket and shows what happens to it.
type connectCmd struct {
	URL string `arg:"" name:"url" help:"Address of the socket, such as ws://127.0.0.1:8000/ws."`

	User         string `placeholder:"NAME" help:"Log in as this user, and log out at the end. The password is read from the terminal, from --password-file or from $$WSAUTH_PASSWORD."`
	PasswordFile string `placeholder:"FILE" help:"File with the password; - reads the first line of standard input."`
	TokenFile    string `placeholder:"FILE" help:"File with a token to use instead of a login; - reads the first line of standard input. Without this flag and --user, $$WSAUTH_TOKEN is used if it is set."`
	Via          string `placeholder:"PLACE" help:"How to send the credential: ticket, header, first-message, subprotocol, query or none, optionally with a name, as in query:access_token (default: ticket with --user, header with a token, else none)."`
	AuthPrefix   string `default:"/auth" placeholder:"PATH" help:"Address of the login endpoints: a path, or a URL on another server (default: ${default})."`

	Send  []string      `sep:"none" placeholder:"TEXT" help:"Send this message first; may be repeated."`
	Count int           `placeholder:"N" help:"Close the socket after N messages from the server (default: no limit)."`
	Wait  time.Duration `placeholder:"DURATION" help:"Close the socket after this time, such as 5s; fails if --count has not been reached (default: no limit)."`
	JSON  bool          `name:"json" help:"Print everything as JSON on standard output, one object per line."`

	Origin      string   `placeholder:"URL" help:"Origin to send, as a browser page would."`
	Header      []string `sep:"none" placeholder:"NAME:VALUE" help:"Header field to send with every request; may be repeated. Host sets the host of the request."`
	Subprotocol []string `placeholder:"NAME" help:"Subprotocol to offer; may be repeated."`

	NoRenew     bool  `help:"Do not refresh the session of --user, to see the socket end with the access token."`
	KeepSession bool  `help:"Do not log out at the end."`
	MaxMessage  int64 `default:"1048576" placeholder:"BYTES" help:"Maximum size of a received message; a larger one closes the socket (default: ${default})."`

	Timeout            time.Duration `default:"15s" placeholder:"DURATION" help:"How long to wait for each answer (default: ${default})."`
	CA                 string        `name:"ca" placeholder:"FILE" help:"Certificates to trust in addition to the system's, in PEM."`
	InsecureSkipVerify bool          `help:"Accept any server certificate."`
	InsecurePlaintext  bool          `help:"Allow sending the credential to other machines over ws:// or http://, where others can read it."`
}

// Help returns the text of "wsauth connect --help".
func (connectCmd) Help() string {
	return `Prints each received message on standard output, and sends each line of standard input. All other output is on standard error; at the end it explains the close code and what to do. Ctrl-C closes the socket and logs out; so does Ctrl-D on a terminal, while the end of a file or a pipe does not. It renews the session like the browser module, but does not reconnect.

Exit status: 0 if the socket was closed normally (1000, by either side); 2 if the server refused the login or the handshake, or sent another close code; 1 if anything else failed.

Examples:
  wsauth connect ws://127.0.0.1:8000/ws --user=test
  wsauth token issue --sub=robot | wsauth connect wss://app.example/ws --token-file=-
  wsauth connect wss://app.example/ws --send=hello --count=1 --wait=5s --json`
}

// Validate validates the flags.
func (c *connectCmd) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.User != "" && c.TokenFile != "" {
		fault("--token-file: with --user, the login provides the token; use only one of the two")
	}
	if c.User == "" && c.PasswordFile != "" {
		fault("--password-file: needs --user")
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
		if err := httpx.CheckOrigin(c.Origin); err != nil {
			fault("--origin: %w", err)
		}
	}
	return errors.Join(faults...)
}

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
		if err := report.Warn("any server certificate is accepted"); err != nil {
			return err
		}
	}
	go in.read(c.MaxMessage) // ends with the process
	// The session must be logged out even if the reader of the output has gone.
	signal.Ignore(syscall.SIGPIPE)
	stopsItself(ctx)
	err = client.Run(ctx)
	_, refused := errors.AsType[*wsclient.Refusal](err)
	end, ended := errors.AsType[*wsclient.End](err)
	if refused || ended && end.By == wsclient.ByServer {
		return exit{err, 2}
	}
	return err
}

// config returns the configuration that the flags describe.
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
	// Before asking for a password that may not be needed.
	if err := config.Check(); err != nil {
		return config, err
	}
	if c.User != "" {
		if config.Password, err = c.password(ctx, in); err == nil && config.Password == "" {
			err = errors.New("the password is empty")
		}
	}
	return config, err
}

// via returns where the credential is sent. token reports whether there is a
// token.
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

// token returns the configured token, or "".
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
		text, err = in.firstLine()
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

// password returns the password of the user.
func (c *connectCmd) password(ctx context.Context, in *input) (string, error) {
	switch c.PasswordFile {
	case "":
	case "-":
		return in.firstLine()
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
