// Package logintest is a client of servers that have a login service at /auth/
// and a socket at /ws, for tests.
package logintest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/openapitest"
)

// patience limits each request, message and connection.
const patience = 10 * time.Second

// A Client sends requests to a server and opens sockets, over real connections
// or over those of a synctest bubble. Its methods end the test if they fail.
type Client struct {
	T        *testing.T
	URL      string // of the server
	HTTP     *http.Client
	Document func() (openapitest.Document, error) // describes the server, unless it is nil
}

// New returns a client with a cookie jar. It follows no redirects.
func New(t *testing.T, url string, transport http.RoundTripper) Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Client{T: t, URL: url, HTTP: &http.Client{
		Jar:           jar,
		Timeout:       patience,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Connect opens a connection to the server until the test ends, for requests
// that a client library would not send.
func (c *Client) Connect() net.Conn {
	c.T.Helper()
	dial := new(net.Dialer).DialContext
	if transport, ok := c.HTTP.Transport.(*http.Transport); ok && transport.DialContext != nil {
		dial = transport.DialContext
	}
	conn, err := dial(c.T.Context(), "tcp", strings.TrimPrefix(c.URL, "http://"))
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// Call sends a request, with headers as "Name: value", and compares the answer
// with the document.
func (c *Client) Call(method, path, body string, headers ...string) Answer {
	c.T.Helper()
	a := c.Send(method, path, strings.NewReader(body), headers...)
	c.check(a)
	return a
}

// Send is like Call, but sends any body and does not check the answer.
func (c *Client) Send(method, path string, body io.Reader, headers ...string) Answer {
	c.T.Helper()
	req, err := http.NewRequest(method, c.URL+path, body)
	if err != nil {
		c.T.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		c.T.Fatal(err)
	}
	return c.ReadAnswer(resp)
}

// ReadAnswer reads the body of an answer and closes it.
func (c *Client) ReadAnswer(resp *http.Response) Answer {
	c.T.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.T.Fatal(err)
	}
	return Answer{resp, string(text)}
}

func (c *Client) check(a Answer) {
	c.T.Helper()
	if c.Document == nil {
		return
	}
	doc, err := c.Document()
	if err != nil {
		c.T.Fatal(err)
	}
	doc.Check(c.T, a.Request, a.Response, a.Text, "/assets/{file}", "/auth/client/{file}", "/auth/sessions/{sid}")
}

// Cookies returns the cookies that a browser would send to the server, by name.
func (c *Client) Cookies() map[string]string {
	c.T.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		c.T.Fatal(err)
	}
	found := map[string]string{}
	for _, cookie := range c.HTTP.Jar.Cookies(u) {
		found[cookie.Name] = cookie.Value
	}
	return found
}

// Dial opens the socket as a page of the server would, and compares the answer
// with the document.
func (c *Client) Dial(query string, headers ...string) (*websocket.Conn, *http.Response, error) {
	c.T.Helper()
	if !slices.ContainsFunc(headers, func(line string) bool { return strings.HasPrefix(line, "Origin: ") }) {
		headers = append(slices.Clone(headers), "Origin: "+c.URL)
	}
	conn, resp, err := c.DialPath("/ws"+query, nil, headers...)
	if resp != nil {
		c.CheckHandshake(resp)
	}
	return conn, resp, err
}

// DialPath opens a socket at any path. It sends the names of the headers as
// they are.
func (c *Client) DialPath(path string, protocols []string, headers ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		h[name] = append(h[name], value)
	}
	conn, resp, err := websocket.Dial(context.Background(), c.URL+path, &websocket.DialOptions{HTTPHeader: h, HTTPClient: c.HTTP, Subprotocols: protocols})
	if conn != nil {
		conn.SetReadLimit(-1)
		c.T.Cleanup(func() { conn.CloseNow() })
	}
	return conn, resp, err
}

// CheckHandshake compares the answer to a handshake with the document. If it
// opens no socket, its body can be read again.
func (c *Client) CheckHandshake(resp *http.Response) Answer {
	c.T.Helper()
	a := Answer{Response: resp}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		a = c.ReadAnswer(resp)
		resp.Body = io.NopCloser(strings.NewReader(a.Text))
	}
	c.check(a)
	return a
}

// Open opens the socket as a page of the server would.
func (c *Client) Open(query string, headers ...string) *websocket.Conn {
	c.T.Helper()
	conn, _, err := c.Dial(query, headers...)
	if err != nil {
		c.T.Fatal(err)
	}
	return conn
}

// Read reads one message.
func (c *Client) Read(conn *websocket.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, message, err := conn.Read(ctx)
	return string(message), err
}

// Write sends one text message.
func (c *Client) Write(conn *websocket.Conn, message string) {
	c.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.T.Fatal(err)
	}
}

// WantClose checks that the next frame is a close frame.
func (c *Client) WantClose(conn *websocket.Conn, code websocket.StatusCode, reason string) {
	c.T.Helper()
	message, err := c.Read(conn)
	if err == nil {
		c.T.Fatalf("got message %q, want close %d %s", message, code, reason)
	}
	end, ok := errors.AsType[websocket.CloseError](err)
	if !ok || end.Code != code || end.Reason != reason {
		c.T.Fatalf("got %v, want close %d %q", err, code, reason)
	}
}

// WantEcho checks that the server echoes a message.
func (c *Client) WantEcho(conn *websocket.Conn, message string) {
	c.T.Helper()
	c.Write(conn, message)
	if got, err := c.Read(conn); got != message {
		c.T.Fatalf("%q comes back as %q, %v", message, got, err)
	}
}
