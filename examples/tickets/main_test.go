package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client acts as a page of the program's own origin.
type client struct {
	t   *testing.T
	ctx context.Context
	url string
}

// newClient starts the program.
func newClient(t *testing.T) client {
	a, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.routes())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // also for the cleanup
	t.Cleanup(func() {
		if err := a.guard.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		cancel()
	})
	return client{t, ctx, server.URL}
}

// post sends a request. It returns the status, and the value of the only member
// of the response.
func (c client) post(path, token, body string) (status int, value any) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Origin", c.url)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var answer map[string]any
	if json.Unmarshal(text, &answer) == nil && response.StatusCode == http.StatusOK {
		for _, value = range answer {
		}
	}
	return response.StatusCode, value
}

// get is like post, but fails the test unless the request succeeds.
func (c client) get(path, token, body string) any {
	c.t.Helper()
	status, value := c.post(path, token, body)
	if status != http.StatusOK {
		c.t.Fatalf("%s: got %d, want %v", path, status, http.StatusOK)
	}
	return value
}

const ada = `{"user":"ada","password":"lovelace"}`

func (c client) login() string { return c.get("/login", "", ada).(string) }

func (c client) ticket(token string) string { return c.get("/ticket", token, "").(string) }

// open opens a socket, which the test must not close: the guard does.
func (c client) open(ticket string) *websocket.Conn {
	c.t.Helper()
	conn, _, err := websocket.Dial(c.ctx, c.url+"/ws?ticket="+ticket, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {c.url}}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// wantEcho fails the test unless the socket sends a message back.
func (c client) wantEcho(conn *websocket.Conn) {
	c.t.Helper()
	if err := conn.Write(c.ctx, websocket.MessageText, []byte("hello")); err != nil {
		c.t.Fatal(err)
	}
	if _, message, err := conn.Read(c.ctx); err != nil || string(message) != "hello" {
		c.t.Fatalf("got %q, %v, want %q", message, err, "hello")
	}
}

// wantClosed fails the test unless the socket is closed with this code and
// reason.
func (c client) wantClosed(conn *websocket.Conn, code websocket.StatusCode, reason string) {
	c.t.Helper()
	_, _, err := conn.Read(c.ctx)
	if websocket.CloseStatus(err) != code || !strings.Contains(err.Error(), reason) {
		c.t.Errorf("%v, want %d %s", err, code, reason)
	}
}

// TestTicketOpensOneSocket checks that a ticket opens only one socket.
func TestTicketOpensOneSocket(t *testing.T) {
	c := newClient(t)
	ticket := c.ticket(c.login())
	c.wantEcho(c.open(ticket))
	c.wantClosed(c.open(ticket), 3000, "token_invalid")
	c.wantClosed(c.open("nonsense"), 3000, "token_invalid")
}

// TestLogout checks that a logout closes the sockets of its session and
// invalidates its tickets, and does not affect another session of the user.
func TestLogout(t *testing.T) {
	c := newClient(t)
	here, there := c.login(), c.login()
	first, second, other := c.open(c.ticket(here)), c.open(c.ticket(here)), c.open(c.ticket(there))
	for _, conn := range []*websocket.Conn{first, second, other} {
		c.wantEcho(conn)
	}
	unused := c.ticket(here)
	if sockets := c.get("/logout", here, ""); sockets != 2.0 {
		t.Errorf("%v sockets ended, not 2", sockets)
	}
	c.wantClosed(first, 3000, "session_ended")
	c.wantClosed(second, 3000, "session_ended")
	c.wantClosed(c.open(unused), 3000, "token_revoked")
	if status, _ := c.post("/ticket", here, ""); status != http.StatusUnauthorized {
		t.Errorf("a ticket after the logout: %d", status)
	}
	c.wantEcho(other)
}

// TestRefusals checks requests without valid credentials or with an invalid
// body.
func TestRefusals(t *testing.T) {
	c := newClient(t)
	token := c.login()
	for name, test := range map[string]struct {
		path, token, body string
		want              int
	}{
		"wrong password":         {"/login", "", `{"user":"ada","password":"x"}`, 401},
		"no JSON":                {"/login", "", `user=ada`, 401},
		"too long":               {"/login", "", `{"user":"` + strings.Repeat("a", 2000) + `"}`, 401},
		"ticket without a token": {"/ticket", "", "", 401},
		"ticket for a ticket":    {"/ticket?ticket=" + c.ticket(token), "", "", 400},
		"logout without a token": {"/logout", "", "", 401},
	} {
		if status, _ := c.post(test.path, test.token, test.body); status != test.want {
			t.Errorf("%s: %d, want %d", name, status, test.want)
		}
	}
}

// TestPage checks that the program serves its page.
func TestPage(t *testing.T) {
	c := newClient(t)
	response, err := http.Get(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(text) != page || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		t.Errorf("got %s, %v", response.Status, err)
	}
}
