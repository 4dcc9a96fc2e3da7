package wsclient

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/urlpath"
)

// A Client makes one connection.
type Client struct {
	config  Config
	http    *http.Client
	account *Account
}

// New validates c and returns a Client.
func New(c Config) (*Client, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Header == nil {
		c.Header = http.Header{}
	}
	client := &Client{config: c, http: newHTTP(c.TLS, c.Timeout)}
	client.account = &Account{base: c.Target.Auth, http: client.http, header: c.Header.Clone(), host: c.Host, timeout: c.Timeout, hide: c.Report.Hide}
	if c.Origin != "" {
		client.account.header.Set("Origin", c.Origin)
	}
	// The user or the token is the credential.
	if c.User != "" || c.Token != "" {
		stripCredentials(client.account.header)
	}
	c.Report.Hide(c.Token)
	return client, nil
}

// stripCredentials removes tokens and session cookies, because a request must
// carry only one credential. It keeps others, such as HTTP Basic for a proxy
// in front.
func stripCredentials(h http.Header) {
	if scheme, _, _ := strings.Cut(h.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		h.Del("Authorization")
	}
	wsauth.Cookies{}.Strip(&http.Request{Header: h, URL: &url.URL{}})
}

// Run opens the socket and returns when it is closed. After a normal closure,
// it returns nil. The error is an [*End] if the server closed the socket for a
// reason or the connection broke, and a [*Refusal] if the server refused a
// request. When ctx is done, the socket is closed with code 1000. If Run began
// a session, it ends it, unless KeepSession is set.
func (c *Client) Run(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	err := c.safe(c.run(ctx))
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return errors.Join(err, c.config.Report.reportRefusal(refusal))
	}
	if _, ok := errors.AsType[*End](err); !ok && err != nil {
		return errors.Join(err, c.config.Report.failed(err))
	}
	return err
}

func (c *Client) run(ctx context.Context) error {
	if c.config.User == "" {
		return c.converse(ctx)
	}
	if err := c.account.Login(ctx, c.config.User, c.config.Password); err != nil {
		return err
	}
	err := c.config.Report.loggedIn(c.config.User, c.account, !c.config.NoRenew)
	if err == nil {
		err = c.converse(ctx)
	}
	if c.config.KeepSession {
		return err
	}
	ended, failure := c.account.Logout(context.WithoutCancel(ctx))
	switch {
	case failure != nil && err != nil:
		return errors.Join(err, c.config.Report.Warn("not logged out: "+failure.Error()))
	case failure != nil:
		return failure
	case ended:
		return errors.Join(err, c.config.Report.loggedOut())
	}
	return err
}

// errInterrupted is a context.Canceled with another text.
var errInterrupted error = interrupted{}

type interrupted struct{}

func (interrupted) Error() string { return "interrupted before the socket was open" }
func (interrupted) Unwrap() error { return context.Canceled }

// converse opens a socket and uses it until it is closed.
func (c *Client) converse(ctx context.Context) error {
	began := time.Now()
	s, err := c.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	defer s.conn.CloseNow()
	if err := c.config.Report.opened(time.Since(began), s.protocol); err != nil {
		return err
	}
	var first *message
	if c.config.Via.Place == InFirstMessage {
		if first, err = c.introduce(ctx, s, c.token()); err != nil {
			return c.reportEnd(err)
		}
	}
	return c.reportEnd(newConversation(c, s).run(ctx, first))
}

// reportEnd reports the end of the socket if err is an [*End].
func (c *Client) reportEnd(err error) error {
	end, ok := errors.AsType[*End](err)
	if !ok {
		return err
	}
	if reportErr := c.config.Report.ended(end); reportErr != nil {
		return reportErr
	}
	if end.Normal() {
		return end.Err
	}
	return err
}

// token returns the credential: the access token of the login, or the
// configured token.
func (c *Client) token() string {
	if c.config.User != "" {
		return c.account.access
	}
	return c.config.Token
}

// open performs the handshake with the credential.
func (c *Client) open(ctx context.Context) (*socket, error) {
	address := *c.config.Target.Socket
	h := &handshake{url: &address, header: c.config.Header.Clone(), protocols: c.config.Subprotocols}
	if c.config.Origin != "" {
		h.header.Set("Origin", c.config.Origin)
	}
	credential := c.token()
	if c.config.Via.Place == InTicket {
		var err error
		if credential, err = c.account.Ticket(ctx, credential, urlpath.Sent(&address)); err != nil {
			return nil, err
		}
	}
	if err := c.config.Via.put(h, credential); err != nil {
		return nil, err
	}
	return c.dial(ctx, h)
}

// safe returns err without secrets, which a server may have sent back.
func (c *Client) safe(err error) error {
	redact := c.config.Report.Redact
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		refusal.Reason, refusal.Text, refusal.Hint = redact(refusal.Reason), redact(refusal.Text), redact(refusal.Hint)
	}
	if end, ok := errors.AsType[*End](err); ok {
		end.Reason = redact(end.Reason)
	}
	if err != nil && redact(err.Error()) != err.Error() {
		return errors.New(redact(err.Error()))
	}
	return err
}
