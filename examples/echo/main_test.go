package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"wsauth"
	"wsauth/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestEcho checks that each message is echoed with the subject of the token.
// The socket must end if the client closes it, disappears or sends too long a
// message.
func TestEcho(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	raw := must(issue(secret, "ada")).Raw
	for name, leave := range map[string]func(context.Context, *websocket.Conn) error{
		"goodbye":  func(_ context.Context, c *websocket.Conn) error { return c.Close(websocket.StatusNormalClosure, "") },
		"vanishes": func(_ context.Context, c *websocket.Conn) error { return c.CloseNow() },
		"too much": func(ctx context.Context, c *websocket.Conn) error {
			const limit = 32 << 10 // the default of coder/websocket
			if err := c.Write(ctx, websocket.MessageText, make([]byte, limit+1)); err != nil {
				return err
			}
			_, _, err := c.Read(ctx)
			if code := websocket.CloseStatus(err); code != websocket.StatusMessageTooBig {
				return fmt.Errorf("closed with %v, want %v: %w", code, websocket.StatusMessageTooBig, err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			guard := must(wsauth.New(wsauth.Config{Verifier: must(token.NewSecretVerifier(secret))}))
			ended := make(chan struct{})
			server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				context.AfterFunc(r.Context(), func() { close(ended) })
				echo(w, r)
			})))
			defer server.Close()
			conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + raw}}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, message, err := conn.Read(ctx); err != nil || string(message) != "ada: hello" {
				t.Errorf("got %q, %v, want %q", message, err, "ada: hello")
			}
			if err := leave(ctx, conn); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-ctx.Done():
				t.Error("the socket is still registered")
			}
		})
	}
}
