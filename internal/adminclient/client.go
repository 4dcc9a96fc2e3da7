// Package adminclient is a client of the API for operators, which a running
// server offers on a Unix socket or on a port.
package adminclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/internal/adminapi"
	"wsauth/internal/httpx"
	"wsauth/internal/inspect"
	"wsauth/internal/privatesock"
)

const (
	requestTimeout = 5 * time.Second

	// reloadTimeout is longer, because the server reads its files and ends the
	// sessions of changed users.
	reloadTimeout = 20 * time.Second

	// revokeTimeout is longer, because a server waits up to 5 s for its store
	// before it answers that the revocation has not been stored.
	revokeTimeout = 10 * time.Second

	// statusInterval is the time between requests of AwaitDrained.
	statusInterval = 200 * time.Millisecond

	pageSize = "1000" // entries of a list

	// maxAnswer is in bytes. A page of 1,000 sockets is far smaller.
	maxAnswer = 8 << 20
)

// A Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	url   string
	where string // for messages
	token string // empty: a Unix socket
	node  string // empty: the server itself
	http  *http.Client

	timeout time.Duration // of one request
}

// NewSocket returns a client for the Unix socket at path.
func NewSocket(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return privatesock.Dial(ctx, path) }
	return newClient("http://localhost", path, "", &http.Transport{DialContext: dial})
}

// NewPort returns a client for the port at address, such as
// "http://127.0.0.1:9091". It refuses an address to which the token would be
// sent in plain text over a network.
func NewPort(address, token string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("must be only a scheme, a host and a port, such as http://127.0.0.1:9091")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !httpx.IsLoopback(u.Hostname())) {
		return nil, errors.New("the token would be sent in plain text over the network: use https, or a tunnel to a local port")
	}
	return newClient(u.Scheme+"://"+u.Host, u.Host, token, &http.Transport{}), nil
}

func newClient(address, where, token string, transport http.RoundTripper) *Client {
	return &Client{url: address, where: where, token: token, timeout: requestTimeout, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// At returns a client for a node of the server's cluster, given its name or ID.
// The server forwards the requests to that node. If node is "", the server
// answers them itself.
func (c *Client) At(node string) *Client {
	there := *c
	there.node = node
	return &there
}

// ErrNoResponse means that the node of [Client.At] has not responded to the
// server.
var ErrNoResponse = errors.New("the node has not responded within a second")

// Nodes returns the nodes of the cluster of the server.
func (c *Client) Nodes(ctx context.Context) ([]adminapi.Node, error) {
	var nodes adminapi.Nodes
	err := c.get(ctx, "/v1/nodes", nil, &nodes)
	return nodes.Nodes, err
}

// Status returns the status of the server.
func (c *Client) Status(ctx context.Context) (adminapi.Status, error) {
	var s adminapi.Status
	err := c.get(ctx, "/v1/status", nil, &s)
	return s, err
}

// Sessions returns the sessions with open sockets of a user, or of all users
// if user is "".
func (c *Client) Sessions(ctx context.Context, user string) (all []adminapi.Session, err error) {
	err = readPages(user, func(query url.Values) (string, error) {
		var page adminapi.Sessions
		err := c.get(ctx, "/v1/sessions", query, &page)
		all = append(all, page.Sessions...)
		return page.Next, err
	})
	return all, err
}

// Sockets returns the open sockets of a user, or of all users if user is "".
func (c *Client) Sockets(ctx context.Context, user string) (all []adminapi.Socket, err error) {
	err = readPages(user, func(query url.Values) (string, error) {
		var page adminapi.Sockets
		err := c.get(ctx, "/v1/sockets", query, &page)
		all = append(all, page.Sockets...)
		return page.Next, err
	})
	return all, err
}

// StoredSessions returns the sessions of a user that are in the store, with
// and without open sockets.
func (c *Client) StoredSessions(ctx context.Context, user string) ([]adminapi.StoredSession, error) {
	var stored adminapi.StoredSessions
	err := c.get(ctx, "/v1/sessions/stored", url.Values{"user": {user}}, &stored)
	return stored.Sessions, err
}

// Revoke sends a request to revoke, and returns what has ended.
func (c *Client) Revoke(ctx context.Context, order adminapi.Revoke) (adminapi.Revoked, error) {
	slow := *c
	slow.timeout = revokeTimeout
	var done adminapi.Revoked
	err := slow.post(ctx, "/v1/revoke", order, &done)
	return done, err
}

// Reload makes the server read its files again, and returns what changed.
func (c *Client) Reload(ctx context.Context, order adminapi.Reload) (adminapi.Reloaded, error) {
	slow := *c
	slow.timeout = reloadTimeout
	var done adminapi.Reloaded
	err := slow.post(ctx, "/v1/reload", order, &done)
	return done, err
}

// Drain starts a drain of the server, and returns how long it may take.
func (c *Client) Drain(ctx context.Context, order adminapi.Drain) (adminapi.Draining, error) {
	var draining adminapi.Draining
	err := c.post(ctx, "/v1/drain", order, &draining)
	return draining, err
}

// AwaitDrained waits until no socket is open, but at most for limit. It returns
// the last status of the server. It tolerates a node that does not respond for
// a while, but returns [ErrNoResponse] if that lasts until limit.
func (c *Client) AwaitDrained(ctx context.Context, limit time.Duration) (adminapi.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	var last adminapi.Status
	responds := true
	for {
		s, err := c.Status(ctx)
		switch {
		case err == nil && s.Open.Sockets == 0:
			return s, nil
		case err == nil:
			last, responds = s, true
		case errors.Is(err, ErrNoResponse):
			responds = false
		case ctx.Err() == nil:
			return s, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if !responds {
				return last, ErrNoResponse
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return last, fmt.Errorf("open sockets: %d; the server cuts them when it stops", last.Open.Sockets)
			}
			return last, ctx.Err()
		}
	}
}

// readPages calls get for each page in turn.
func readPages(user string, get func(url.Values) (next string, err error)) error {
	query := url.Values{"limit": {pageSize}}
	if user != "" {
		query.Set("user", user)
	}
	for {
		next, err := get(query)
		if err != nil || next == "" {
			return err
		}
		query.Set("after", next)
	}
}

// get requests path and decodes the answer into v.
func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.do(ctx, http.MethodGet, path, query, nil, v)
}

// post sends body and decodes the answer into v.
func (c *Client) post(ctx context.Context, path string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, nil, bytes.NewReader(text), v)
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader, v any) error {
	if c.node != "" {
		query = maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		query.Set("node", c.node)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, body) //nolint:gosec // operators choose the server
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "wsauth")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r) //nolint:gosec // operators choose the server
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.unreachable(err)
	case response.StatusCode != http.StatusOK:
		return c.refusalError(response.StatusCode, text)
	case len(text) > maxAnswer:
		return fmt.Errorf("the answer of %s is longer than %d bytes", c.where, maxAnswer)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer of %s is not from a wsauth server", c.where)
	}
	return nil
}

// unreachable explains why there is no answer, and what to do.
func (c *Client) unreachable(err error) error {
	onPort := c.token != ""
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case os.IsTimeout(err):
		return fmt.Errorf("the server at %s did not answer within %s", c.where, c.timeout)
	case errors.Is(err, fs.ErrNotExist) && !onPort:
		return fmt.Errorf("no server is running here: %s does not exist; start one with \"wsauth serve\", or locate it with --data=DIR or --admin-socket=PATH", c.where)
	case errors.Is(err, syscall.ECONNREFUSED) && !onPort:
		return fmt.Errorf("no server is running here: the one that created %s ended without removing it; start one with \"wsauth serve\"", c.where)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no server listens on %s: start one with admin.listen, or use another address with --admin-url=URL", c.where)
	case errors.Is(err, fs.ErrPermission) && !onPort:
		return fmt.Errorf("this user is not allowed to open %s: run the command as the server's user, for example with sudo -u", c.where)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, which does not help here
	}
	return fmt.Errorf("ask the server: %w", err)
}

// refusalError returns the error for an answer that is not a success.
func (c *Client) refusalError(status int, text []byte) error {
	var problem struct {
		Detail string `json:"detail"`
		Reason string `json:"reason"`
		Ended  bool   `json:"ended"`
	}
	switch err := json.Unmarshal(text, &problem); {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the server at %s does not accept the token in --token-file", c.where)
	case err != nil || problem.Detail == "":
		return fmt.Errorf("the server at %s answered with status %d and is not a wsauth server for operators", c.where, status)
	case problem.Reason == "node_unreachable":
		return fmt.Errorf("%w; it may still carry out the request", ErrNoResponse)
	case problem.Ended:
		return fmt.Errorf("the server has ended it, but could not store this: %s (status %d)", inspect.Printable(problem.Detail), status)
	}
	return fmt.Errorf("the server refuses: %s (status %d)", inspect.Printable(problem.Detail), status)
}
