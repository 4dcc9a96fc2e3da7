package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wsframe"
)

// introduced serves a route whose clients authenticate in their first message.
func introduced(t *testing.T, b *backend, change ...func(*Config)) *rig {
	t.Helper()
	return behind(t, b, append([]func(*Config){func(c *Config) {
		c.Routes[0].Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: time.Second}}
	}}, change...)...)
}

// TestFirstMessage checks that the upstream is not contacted before the client
// has authenticated (P3).
func TestFirstMessage(t *testing.T) {
	b := newBackend(t)
	r := introduced(t, b)
	access, refresh := r.login()
	conn, _, err := r.trySocket("/chat", []string{"chat"})
	if err != nil {
		t.Fatal(err)
	}
	if conn.Subprotocol() != "chat" || b.count() != 0 {
		t.Fatalf("subprotocol %q, and the upstream has %d requests", conn.Subprotocol(), b.count())
	}
	r.write(conn, `{"type":"auth","token":"`+access+`"}`)
	if reply, err := r.read(conn); err != nil || !strings.HasPrefix(reply, `{"type":"auth_ok","expires_at":`) {
		t.Fatalf("%q, %v", reply, err)
	}
	r.echoOf(conn, "hello")
	if got := b.last(); got.Header.Get("X-User") != "test" || got.Header.Get("Sec-WebSocket-Protocol") != "chat" {
		t.Errorf("%v", got.Header)
	}
	r.call("POST", "/auth/logout", "", bearer(refresh))
	r.wantClose(conn, 3000, "session_ended")
}

// TestP3_MoreWithTheFirstMessage checks that data sent without waiting for the
// reply reaches the upstream after authentication, however the network splits
// it, and never before.
func TestP3_MoreWithTheFirstMessage(t *testing.T) {
	frame := func(text string) []byte { return wsframe.AppendMaskedText(nil, []byte(text)) }
	for name, send := range map[string]func(conn net.Conn, first []byte, b *slowBackend){
		"in one write": func(conn net.Conn, first []byte, _ *slowBackend) {
			_, _ = conn.Write(slices.Concat(first, frame("one"), frame("two")))
		},
		"while the upstream is asked": func(conn net.Conn, first []byte, b *slowBackend) {
			_, _ = conn.Write(first)
			b.has(t, b.arrived)
			_, _ = conn.Write(slices.Concat(frame("one"), frame("two")))
		},
		"cut": func(conn net.Conn, first []byte, b *slowBackend) {
			all := slices.Concat(first, frame("one"), frame("two"))
			_, _ = conn.Write(all[:len(first)+3])
			b.has(t, b.arrived)
			_, _ = conn.Write(all[len(first)+3:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSlowBackend(t)
			r := start(t, func(c *Config) {
				c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}}}
			})
			access, _ := r.login()
			for _, known := range []bool{false, true} {
				conn := r.handshake("/x", "X-A: b")
				in := bufio.NewReader(conn)
				if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(resp, err)
				}
				if !known {
					_, _ = conn.Write(slices.Concat(frame(`{"type":"auth","token":"a.b.c"}`), frame("one")))
					if rest, err := io.ReadAll(in); err != nil || !strings.Contains(string(rest), "token_invalid") || len(b.arrived) > 0 {
						t.Errorf("%q, %v; the upstream has %d", rest, err, len(b.arrived))
					}
					continue
				}
				send(conn, frame(`{"type":"auth","token":"`+access+`"}`), b)
				time.AfterFunc(proxy.LookAfter+proxy.LookAfter/4, func() { close(b.answer) }) // when somebody looks whether the client is there
				heard := ""
				for range 3 { // short messages
					head := make([]byte, 2)
					_, err := io.ReadFull(in, head)
					text := make([]byte, head[1])
					if _, err2 := io.ReadFull(in, text); err != nil || err2 != nil {
						t.Fatal(heard, err, err2)
					}
					heard += string(text) + " "
				}
				if _, after, _ := strings.Cut(heard, "} "); !strings.Contains(heard, "auth_ok") || after != "one two " {
					t.Errorf("heard %q", heard)
				}
			}
		})
	}
}

// TestFirstMessageOfARouteThatIsGone checks that the upstream of a removed
// route is not contacted any more.
func TestFirstMessageOfARouteThatIsGone(t *testing.T) {
	b, other := newBackend(t), newBackend(t)
	r := introduced(t, b, func(c *Config) { c.Routes[0].Extractors = []wsauth.Extractor{wsauth.FirstMessage{}} })
	access, _ := r.login()
	conn, _, err := r.trySocket("/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.g.Update([]Route{{Path: "/other", Upstreams: []string{other.URL}}}); err != nil {
		t.Fatal(err)
	}
	r.write(conn, `{"type":"auth","token":"`+access+`"}`)
	r.wantClose(conn, 1012, "restarting")
	if b.count()+other.count() != 0 {
		t.Error("an upstream was asked")
	}
}

// TestFirstMessageOfGraphQL checks that the upstream gets a connection_init
// without the token, and answers it itself.
func TestFirstMessageOfGraphQL(t *testing.T) {
	b := newBackend(t)
	r := introduced(t, b)
	access, _ := r.login()
	conn := r.socket("/graphql")
	r.write(conn, `{"type":"connection_init","payload":{"Authorization":"Bearer `+access+`"}}`)
	// The backend of this test echoes, which shows what has reached it.
	if reply, err := r.read(conn); err != nil || reply != `{"type":"connection_init"}` {
		t.Fatalf("%q, %v", reply, err)
	}
	r.echoOf(conn, "hello")
}

func TestFirstMessageRefused(t *testing.T) {
	b := newBackend(t)
	r := introduced(t, b, func(c *Config) {
		c.Routes = append(c.Routes, Route{Path: "/down", Upstreams: []string{"http://127.0.0.1:1"}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}})
	})
	access, _ := r.login()
	auth := `{"type":"auth","token":"` + access + `"}`
	for _, c := range []struct {
		name, path, message string
		kind                websocket.MessageType
		code                websocket.StatusCode
		reason              string
	}{
		{"P1 silence", "/chat", "", 0, 3008, "auth_timeout"},
		{"P2 binary", "/chat", auth, websocket.MessageBinary, 1003, "text_only"},
		{"P2 not JSON", "/chat", "hello", websocket.MessageText, 3000, "token_missing"},
		{"P2 too long", "/chat", strings.Repeat("x", 70_000), websocket.MessageText, 1009, "message_too_big"},
		{"a bad token", "/chat", `{"type":"auth","token":"a.b.c"}`, websocket.MessageText, 3000, "token_invalid"},
		{"a route that is down", "/down", auth, websocket.MessageText, 1014, "bad_gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := r.socket(c.path)
			if c.message != "" {
				_ = conn.Write(t.Context(), c.kind, []byte(c.message)) // a long one may find the socket closed
			}
			r.wantClose(conn, c.code, c.reason)
		})
	}
	if n := b.count(); n != 0 {
		t.Errorf("the upstream has seen %d requests", n)
	}
}

// TestIntroductionSelectsNoToken that a client has offered as a subprotocol,
// however short it is.
func TestIntroductionSelectsNoToken(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}}}
	})
	for _, offer := range [][]string{{"eyJhIjoxfQ.e30.AA", "chat"}, {strings.Repeat("x", 65), "chat"}, {"chat", "eyJhIjoxfQ.e30.AA"}} {
		conn, _, err := r.trySocket("/", offer)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.Subprotocol(); got != "chat" {
			t.Errorf("%q: selected %q", offer, got)
		}
	}
}
