package attack

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// A slowBackend is a backend that serves requests only when the test says so.
type slowBackend struct {
	arrived chan struct{} // receives a value for each request
	answer  chan struct{} // closed to answer all requests
}

func newSlowBackend() *slowBackend {
	return &slowBackend{arrived: make(chan struct{}, 10), answer: make(chan struct{})}
}

func (b *slowBackend) serve(w http.ResponseWriter, r *http.Request) {
	b.arrived <- struct{}{}
	select {
	case <-b.answer:
		respond(w, r)
	case <-r.Context().Done():
	}
}

// await waits for a request.
func (b *slowBackend) await(t *testing.T) {
	t.Helper()
	select {
	case <-b.arrived:
	case <-time.After(20 * time.Second):
		t.Fatal("no request reaches the backend")
	}
}

// answerLater answers the requests after 1.5 s. By then, the gateway has begun
// to check whether the client is still connected: it does so after a second.
func (b *slowBackend) answerLater() {
	time.AfterFunc(3*time.Second/2, func() { close(b.answer) })
}

// byMessage returns a route whose clients authenticate by their first message.
func byMessage(timeout time.Duration) proxy.Route {
	return proxy.Route{Path: "/", Extractors: []wsauth.Extractor{wsauth.FirstMessage{Timeout: timeout}}}
}

// TestP3_MoreWithTheFirstMessage checks that data that a client sends before
// the reply to its first message reaches the backend only after authentication,
// however the network splits it.
func TestP3_MoreWithTheFirstMessage(t *testing.T) {
	more := slices.Concat(wstest.Frame(0x81, "one"), wstest.Frame(0x81, "two"))
	for name, send := range map[string]func(t *testing.T, w io.Writer, first []byte, b *slowBackend){
		"in_one_write": func(_ *testing.T, w io.Writer, first []byte, _ *slowBackend) {
			_, _ = w.Write(slices.Concat(first, more))
		},
		"while_the_backend_is_asked": func(t *testing.T, w io.Writer, first []byte, b *slowBackend) {
			_, _ = w.Write(first)
			b.await(t)
			_, _ = w.Write(more)
		},
		"split": func(t *testing.T, w io.Writer, first []byte, b *slowBackend) {
			_, _ = w.Write(append(first, more[:3]...))
			b.await(t)
			_, _ = w.Write(more[3:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newSlowBackend()
			x := newGatewayOf(t, gateway.Config{Routes: []proxy.Route{byMessage(0)}}, b.serve)
			refused := x.send(t, upgrade("/x"))
			must(refused.conn.Write(slices.Concat(wstest.Frame(0x81, auth("a.b.c")), more)))
			if code, reason := refused.closeFrame(t); code != 3000 || reason != "token_invalid" || len(b.arrived) > 0 {
				t.Errorf("closed with %d %q, and %d requests reach the backend", code, reason, len(b.arrived))
			}
			conn := x.socket(t, "/x")
			send(t, conn.Conn, wstest.Frame(0x81, auth(gatewayToken(t))), b)
			b.answerLater()
			for _, want := range []string{"auth_ok", "one", "two"} {
				if _, got, err := conn.ReadFrame(); err != nil || !strings.Contains(string(got), want) {
					t.Fatalf("got %q, %v, want %s", got, err, want)
				}
			}
		})
	}
}

// TestFirstMessageThroughAGateway checks the close code if the client sends no
// first message, or one that does not open the socket.
func TestFirstMessageThroughAGateway(t *testing.T) {
	down := byMessage(0)
	down.Path, down.Upstreams = "/down", []string{"http://127.0.0.1:1"}
	x := newGateway(t, byMessage(time.Second), down)
	good := auth(gatewayToken(t))
	for _, c := range []struct {
		name, path string
		frame      []byte
		code       int
		reason     string
	}{
		{"P1/silence", "/chat", nil, 3008, "auth_timeout"},
		{"P2/binary", "/chat", wstest.Frame(0x82, good), 1003, "text_only"},
		{"P2/not_JSON", "/chat", wstest.Frame(0x81, "hello"), 3000, "token_missing"},
		{"P2/too_long", "/chat", wstest.Frame(0x81, strings.Repeat("x", 70_000)), 1009, "message_too_big"},
		{"P2/bad_token", "/chat", wstest.Frame(0x81, auth("a.b.c")), 3000, "token_invalid"},
		{"R15/upstream_down", "/down", wstest.Frame(0x81, good), 1014, "bad_gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := x.socket(t, c.path)
			_, _ = conn.Conn.Write(c.frame) // the gateway may close the socket before it has read a long frame
			if code, reason, err := conn.ReadClose(); code != c.code || reason != c.reason {
				t.Errorf("closed with %d %q, %v, want %d %q", code, reason, err, c.code, c.reason)
			}
		})
	}
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("the backend got %q, want nothing", seen)
	}
}

// TestT10_FirstMessageSelectsNoToken checks that the gateway does not select a
// token that a client offers as a subprotocol. The route reads no tokens there.
func TestT10_FirstMessageSelectsNoToken(t *testing.T) {
	x := newGateway(t, byMessage(0))
	for _, offer := range []string{"eyJhIjoxfQ.e30.AA, chat", strings.Repeat("x", 65) + ", chat", "chat, eyJhIjoxfQ.e30.AA"} {
		a := x.send(t, upgrade("/", "Sec-WebSocket-Protocol: "+offer))
		if got := a.Header.Get("Sec-WebSocket-Protocol"); a.StatusCode != http.StatusSwitchingProtocols || got != "chat" {
			t.Errorf("%q: %d, selected %q", offer, a.StatusCode, got)
		}
	}
}

// TestH9_DataBehindTheHandshake checks that a second request sent together with
// a handshake is not served.
func TestH9_DataBehindTheHandshake(t *testing.T) {
	x := newGateway(t)
	raw := upgrade("/chat", bearer(gatewayToken(t)))
	x.wantRefused(t, raw+plain("GET", "/evil"), http.StatusBadRequest)
	x.forward(t, raw)
}

// TestH9_DataWhileDialing checks that the gateway refuses a handshake if the
// client sends a frame while the gateway waits for its upstream.
func TestH9_DataWhileDialing(t *testing.T) {
	b := newSlowBackend()
	x := newGatewayOf(t, gateway.Config{}, b.serve)
	conn := dial(t, x.addr)
	must(fmt.Fprint(conn, upgrade("/x", bearer(gatewayToken(t)))))
	b.await(t)
	b.answerLater()
	if a := ask(t, conn, string(wstest.Frame(0x81, "hi"))); a.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", a.StatusCode)
	}
}
