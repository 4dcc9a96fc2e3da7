package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// startScarce runs a server that may have 256 descriptors open.
func startScarce(t *testing.T, config string) *child {
	t.Helper()
	return startChild(t, config, "sh", "-c", `ulimit -n 256; exec "$@"`, "sh", "wsauth")
}

// from returns a dialer that connects from a loopback address.
func from(address string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
}

// idle opens silent connections from an address.
func (c *child) idle(address string, n int) {
	c.t.Helper()
	for range n {
		conn, err := from(address).Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { conn.Close() })
	}
}

// idleAt opens silent connections to a server.
func (c *child) idleAt(network, address string, n int) {
	c.t.Helper()
	for range n {
		conn, err := net.DialTimeout(network, address, patience)
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { conn.Close() })
	}
}

// socketsFrom opens sockets from an address until one is refused, and returns
// them.
func (c *child) socketsFrom(address string) (open []*websocket.Conn) {
	c.t.Helper()
	web := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: from(address).DialContext}}
	for range 256 {
		conn, resp, err := websocket.Dial(c.t.Context(), c.url+"/ws", &websocket.DialOptions{HTTPClient: web, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.access}}})
		if err == nil {
			c.t.Cleanup(func() { _ = conn.CloseNow() })
			open = append(open, conn)
			continue
		}
		if resp == nil {
			c.t.Fatalf("after %d sockets of %s: %v", len(open), address, err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `"overloaded"`) {
			c.t.Fatalf("after %d sockets of %s: %s %s", len(open), address, resp.Status, body)
		}
		return open
	}
	c.t.Fatalf("%d sockets of %s", len(open), address)
	return nil
}

// echoes checks that a socket echoes a message.
func echoes(ctx context.Context, conn *websocket.Conn) error {
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		return err
	}
	if _, got, err := conn.Read(ctx); err != nil || string(got) != "hello" {
		return fmt.Errorf("%q: %w", got, err)
	}
	return nil
}

// checkWorks checks everything that must work with any number of connections.
func (c *child) checkWorks(metrics string) error {
	ctx := c.t.Context()
	other := c.client // another session
	var failed error
	for range 3 {
		c.http.CloseIdleConnections() // so that each request needs a new connection
		resp, err := c.http.Get(metrics)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		failed = errors.Join(failed, err, other.login(ctx, []string{"test", "test"}), other.logout(ctx, nil), c.get(ctx, []string{"/livez", "200"}), c.operate("status"), c.operate("sessions"))
	}
	return failed
}

// TestG13_Descriptors checks that however many connections clients open,
// operators and logins get through, the store can be written, open sockets
// continue, and no refusal blames the upstream.
func TestG13_Descriptors(t *testing.T) {
	c := startScarce(t, fmt.Sprintf("insecure_demo_user: true\nmax_sockets: 0\nmetrics: {listen: '127.0.0.1:0'}\nroutes: [{path: /, upstream: '%s'}]\n", echoServer(t)))
	if err := c.login(t.Context(), []string{"test", "test"}); err != nil {
		t.Fatal(err)
	}
	metrics := c.metrics
	all := c.socketsFrom("127.0.0.1")
	if n := len(all); n < 20 || n > 60 {
		t.Errorf("%d sockets of one address", n)
	}
	if err := c.checkWorks(metrics); err != nil {
		t.Error("with sockets of the same address: ", err)
	}
	for i := range 5 {
		c.idle(fmt.Sprintf("127.0.0.%d", i+1), 60)
	}
	if err := c.checkWorks(metrics); err != nil {
		t.Error("with idle connections: ", err)
	}
	c.idleAt("tcp", strings.TrimSuffix(strings.TrimPrefix(metrics, "http://"), "/metrics"), 150)
	c.idleAt("unix", filepath.Join(c.cmd.Dir, "data", "admin.sock"), 150)
	if err := c.checkWorks(metrics); err != nil {
		t.Error("with idle connections of operators: ", err)
	}
	for i := range 3 {
		all = append(all, c.socketsFrom(fmt.Sprintf("127.0.0.%d", i+2))...)
	}
	if n := len(all); n < 60 || n > 100 {
		t.Errorf("%d sockets in all", n)
	}
	if err := c.checkWorks(metrics); err != nil {
		t.Error("with sockets: ", err)
	}
	for _, conn := range all {
		if err := echoes(t.Context(), conn); err != nil {
			t.Fatal("a socket that is open: ", err)
		}
	}
	if err := c.operate("revoke", "--user=test"); err != nil {
		t.Error(err)
	}
	for _, conn := range all {
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != 3000 {
			t.Fatal("after revoke: ", err)
		}
	}
	if err := c.login(t.Context(), []string{"test", "test"}); err != nil {
		t.Fatal(err)
	}
	if n := len(c.socketsFrom("127.0.0.9")); n < 20 { // the slots are free again
		t.Errorf("%d sockets after that", n)
	}
}
