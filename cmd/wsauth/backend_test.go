package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"
)

// startBackend starts a server that knows nothing of authentication. On a
// socket it says hello to whom X-User names, and then echoes; to all other
// requests it answers with that name.
func startBackend(ts *testscript.TestScript, _ bool, _ []string) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprintln(w, "hello", r.Header.Get("X-User"))
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		message := []byte("hello " + r.Header.Get("X-User"))
		for kind := websocket.MessageText; err == nil; kind, message, err = conn.Read(r.Context()) {
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}))
	ts.Defer(b.Close)
	ts.Setenv("BACKEND", b.URL)
}

// get asks for a page, and wants a status.
func (c *client) get(ctx context.Context, args []string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+args[0], nil)
	if err != nil {
		return err
	}
	if c.access != "" {
		req.Header.Set("Authorization", "Bearer "+c.access)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got := strconv.Itoa(resp.StatusCode); got != args[1] {
		return fmt.Errorf("%s: %s, want %s", args[0], resp.Status, args[1])
	}
	return nil
}
