package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a client waits for a response.
const patience = 20 * time.Second

// A client is a session with the server of a script, and its socket.
type client struct {
	url          string
	http         *http.Client
	access       string
	refreshToken string
	conn         *websocket.Conn
}

// A refusal is a response with which the server refuses a request.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// clientCmd returns a script command that calls a method. The first argument
// names the client, unless it is omitted. With "!" the server must refuse the
// request. The last argument is then the expected status, or the code of a
// close frame. The default is 401.
func clientCmd(method func(c *client, ctx context.Context, args []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, fails bool, args []string) {
		s := theServer(ts)
		name, want := "", http.StatusUnauthorized
		if fails && len(args) > 0 {
			if status, err := strconv.Atoi(args[len(args)-1]); err == nil {
				want, args = status, args[:len(args)-1]
			}
		}
		if len(args) > 0 && len(args) != 2 {
			name, args = args[0], args[1:]
		}
		c := s.clients[name]
		if c == nil {
			c = &client{}
			s.clients[name] = c
		}
		c.url, c.http = s.url, newHTTPClient(s.roots)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := method(c, ctx, args)
		if conn := c.conn; conn != nil {
			ts.Defer(func() { conn.CloseNow() })
		}
		if !fails {
			ts.Check(err)
		} else if refused, ok := errors.AsType[*refusal](err); !ok || refused.status != want {
			ts.Fatalf("want a refusal with %d, got %v", want, err)
		}
	}
}

func (c *client) login(ctx context.Context, args []string) error {
	body, err := json.Marshal(map[string]string{"username": args[0], "password": args[1]})
	if err != nil {
		return err
	}
	return c.post(ctx, "/auth/login", "", string(body))
}

func (c *client) refresh(ctx context.Context, _ []string) error {
	if c.refreshToken == "" {
		return errors.New("no refresh token")
	}
	return c.post(ctx, "/auth/refresh", c.refreshToken, "")
}

func (c *client) logout(ctx context.Context, _ []string) error {
	return c.post(ctx, "/auth/logout", c.access, "")
}

func (c *client) logOutEverywhere(ctx context.Context, _ []string) error {
	return c.post(ctx, "/auth/logout-everywhere", c.access, "")
}

// post sends a request, and stores the tokens of the response.
func (c *client) post(ctx context.Context, path, token, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusNoContent {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refusal{resp.StatusCode, fmt.Sprintf("%s: %s %s", path, resp.Status, answer)}
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	err = json.Unmarshal(answer, &tokens)
	c.access, c.refreshToken = tokens.Access, tokens.Refresh
	return err
}

// socket opens a socket and reads the welcome message. A client without a
// session logs in first.
func (c *client) socket(ctx context.Context, _ []string) error {
	if c.access == "" {
		if err := c.login(ctx, []string{"test", "test"}); err != nil {
			return err
		}
	}
	conn, resp, err := websocket.Dial(ctx, c.url+"/ws", &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.access}}})
	if err != nil && resp != nil {
		return &refusal{resp.StatusCode, err.Error()}
	} else if err != nil {
		return err
	}
	c.conn = conn
	_, _, err = c.conn.Read(ctx)
	if end, ok := errors.AsType[websocket.CloseError](err); ok {
		return &refusal{int(end.Code), err.Error()} // the demonstration refuses by close codes
	}
	return err
}

func (c *client) echoed(ctx context.Context, _ []string) error {
	if err := c.conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	_, message, err := c.conn.Read(ctx)
	if err == nil && string(message) != "hello" {
		return fmt.Errorf("got %q, want hello", message)
	}
	return err
}

// closed reads until the close frame, and skips messages about renewals.
func (c *client) closed(ctx context.Context, args []string) error {
	for {
		_, _, err := c.conn.Read(ctx)
		if err == nil {
			continue
		}
		end, ok := errors.AsType[websocket.CloseError](err)
		if !ok || strconv.Itoa(int(end.Code)) != args[0] || end.Reason != args[1] {
			return fmt.Errorf("got %w, want close %v", err, args)
		}
		return nil
	}
}
