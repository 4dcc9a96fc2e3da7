package gateway

import (
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// firstMessageRoute serves a route whose clients authenticate with their first
// message.
func firstMessageRoute(t *testing.T, b *backend, change ...func(*Config)) *rig {
	t.Helper()
	return serveBehind(t, b, append([]func(*Config){func(c *Config) {
		c.Routes[0].Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: time.Second}}
	}}, change...)...)
}

// TestFirstMessage checks that the upstream is not contacted before the client
// has authenticated (P3).
func TestFirstMessage(t *testing.T) {
	b := newBackend(t)
	r := firstMessageRoute(t, b)
	access, refresh := r.Login()
	conn, _, err := r.DialPath("/chat", []string{"chat"})
	if err != nil {
		t.Fatal(err)
	}
	if conn.Subprotocol() != "chat" || b.count() != 0 {
		t.Fatalf("subprotocol %q, and the upstream has %d requests", conn.Subprotocol(), b.count())
	}
	r.Write(conn, `{"type":"auth","token":"`+access+`"}`)
	if reply, err := r.Read(conn); err != nil || !strings.HasPrefix(reply, `{"type":"auth_ok","expires_at":`) {
		t.Fatalf("got %q, %v", reply, err)
	}
	r.WantEcho(conn, "hello")
	if got := b.last(); got.Header.Get("X-User") != "test" || got.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Errorf("the upstream got %v, want the user test and the subprotocol chat", got.Header)
	}
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.WantClose(conn, 3000, "session_ended")
}

// TestFirstMessageOfARemovedRoute checks that the upstream of a removed
// route gets no request.
func TestFirstMessageOfARemovedRoute(t *testing.T) {
	b, other := newBackend(t), newBackend(t)
	r := firstMessageRoute(t, b, func(c *Config) { c.Routes[0].Extractors = []wsauth.Extractor{wsauth.FirstMessage{}} })
	access, _ := r.Login()
	conn, _, err := r.DialPath("/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.g.Update([]proxy.Route{{Path: "/other", Upstreams: []string{other.URL}}}); err != nil {
		t.Fatal(err)
	}
	r.Write(conn, `{"type":"auth","token":"`+access+`"}`)
	r.WantClose(conn, 1012, "restarting")
	if b.count()+other.count() != 0 {
		t.Error("the upstream of a removed route got a request")
	}
}

// TestFirstMessageOfGraphQL checks that the upstream gets a connection_init
// without the token, and answers it itself.
func TestFirstMessageOfGraphQL(t *testing.T) {
	b := newBackend(t)
	r := firstMessageRoute(t, b)
	access, _ := r.Login()
	conn := r.socket("/graphql")
	r.Write(conn, `{"type":"connection_init","payload":{"Authorization":"Bearer `+access+`"}}`)
	// The backend of this test echoes, which shows what has reached it.
	if reply, err := r.Read(conn); err != nil || reply != `{"type":"connection_init"}` {
		t.Fatalf("got %q, %v, want %q", reply, err, `{"type":"connection_init"}`)
	}
	r.WantEcho(conn, "hello")
}
