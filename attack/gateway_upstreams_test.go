package attack

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wsframe"
)

// answering returns a backend that writes the raw bytes of its answers.
func answering(answer func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, answer(r))
		_, _ = io.Copy(io.Discard, buffered) // wait until the gateway disconnects
	}
}

// success returns an answer with a body and header lines.
func success(body string, lines ...string) func(*http.Request) string {
	return func(*http.Request) string {
		return "HTTP/1.1 200 OK\r\n" + strings.Join(append(lines, "\r\n"), "\r\n") + body
	}
}

// switching returns an answer that opens a socket, with additional header
// lines.
func switching(lines ...string) func(*http.Request) string {
	return func(r *http.Request) string {
		return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			wsframe.AcceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
	}
}

// TestR15_SwitchWithALength checks that a 101 has no body, whatever the
// upstream declares.
func TestR15_SwitchWithALength(t *testing.T) {
	x := newGatewayOf(t, gateway.Config{}, answering(switching("Content-Length: 5")))
	a := x.send(t, upgrade("/public/chat"))
	if a.StatusCode != http.StatusSwitchingProtocols || a.Header.Get("Content-Length") != "" {
		t.Errorf("got %d %v, want 101 without a length", a.StatusCode, a.Header)
	}
}

// TestO7_UpstreamsSetNoLoginCookies checks that an upstream cannot set the
// cookies of the gateway's login, with any kind of answer. If the gateway has
// no login, the upstream may set all cookies.
func TestO7_UpstreamsSetNoLoginCookies(t *testing.T) {
	set := []string{
		"Set-Cookie: theirs=1; Path=/", "Set-Cookie: __Host-access_token_cookie=x; Secure; Path=/", "Set-Cookie: access_token_cookie=x",
		"Set-Cookie: csrf_refresh_token=x", "Set-Cookie:  refresh_token_cookie =x",
	}
	ok := answering(success("hi", append(set, "Content-Length: 2")...))
	for name, c := range map[string]struct {
		backend http.HandlerFunc
		raw     string
	}{
		"plain":   {ok, plain("GET", "/public/a")},
		"socket":  {answering(switching(set...)), upgrade("/public/a")},
		"refusal": {ok, upgrade("/public/a")},
	} {
		x := newGatewayOf(t, gateway.Config{}, c.backend)
		if got := x.send(t, c.raw).Header["Set-Cookie"]; !slices.Equal(got, []string{"theirs=1; Path=/"}) {
			t.Errorf("%s: got the cookies %q, want only theirs", name, got)
		}
		x = newGatewayOf(t, gateway.Config{NoAuth: true}, c.backend)
		if got := x.send(t, c.raw).Header["Set-Cookie"]; len(got) != len(set) {
			t.Errorf("%s, without a login: %q", name, got)
		}
	}
}

// TestG1_UnrequestedSockets checks that an upstream cannot turn a plain
// request into a socket.
func TestG1_UnrequestedSockets(t *testing.T) {
	x := newGatewayOf(t, gateway.Config{Routes: pagesAndSocket(nil)}, answering(func(r *http.Request) string {
		return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + r.Header.Get("X-To") + "\r\nConnection: Upgrade\r\n\r\nhello"
	}))
	tok := bearer(gatewayToken(t))
	for _, to := range []string{"websocket", "h2c", "tcp"} {
		for _, path := range []string{"/x", "/ws"} {
			for _, offer := range []string{"X-None: x", "Upgrade: h2c"} {
				if a := x.send(t, plain("GET", path, "Connection: Upgrade", tok, "X-To: "+to, offer)); a.StatusCode != http.StatusBadGateway {
					t.Errorf("%s, %s, %s: status %d, want 502", path, to, offer, a.StatusCode)
				}
			}
		}
	}
}

// TestH9_RestOfABody checks that after an early answer of the upstream, the
// gateway does not treat the rest of the body as the next request.
func TestH9_RestOfABody(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		body  string
	}{
		"length":  {[]string{"Content-Length: 100"}, plain("GET", "/public/smuggled")},
		"chunked": {[]string{"Transfer-Encoding: chunked"}, "5\r\nhello\r\n"},
		"expect":  {[]string{"Content-Length: 100", "Expect: 100-continue"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each subtest waits until the gateway closes the connection
			x := newGatewayOf(t, gateway.Config{}, answering(success("hi", "Content-Length: 2")))
			conn := dial(t, x.addr)
			started := time.Now()
			must(io.WriteString(conn, plain("POST", "/public/a", c.lines...)+c.body))
			in := bufio.NewReader(conn)
			response, err := http.ReadResponse(in, nil)
			if err != nil || !response.Close {
				t.Fatalf("got %v, %v", response, err)
			}
			if got, err := io.ReadAll(response.Body); string(got) != "hi" || err != nil {
				t.Errorf("got the body %q, %v, want hi", got, err)
			}
			if took := time.Since(started); took > proxy.LingerSilence/2 {
				t.Errorf("the answer took %v", took)
			}
			if rest, err := io.ReadAll(in); len(rest) > 0 || isTimeout(err) {
				t.Errorf("then got %q, %v, want the end of the connection", rest, err)
			}
			if seen := x.takeRequests(); len(seen) != 1 {
				t.Errorf("the backend gets %q", seen)
			}
		})
	}
}

// TestL4_EventsOfAnySpelling checks that event streams end with the session,
// however their content type is spelled. Browsers accept any spelling.
func TestL4_EventsOfAnySpelling(t *testing.T) {
	for _, kind := range []string{
		"text/event-stream", "Text/Event-Stream ; charset=utf-8", "text/event-stream; charset=utf-8; charset=x", "text/event-stream;;", "text/event-stream; =",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			x := newGatewayOf(t, gateway.Config{}, answering(success("data: hello\n\n", "Content-Type: "+kind)))
			conn := dial(t, x.addr)
			must(io.WriteString(conn, plain("GET", "/events", bearer(gatewayToken(t)))))
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := x.gateway.Login().EndUser(context.Background(), "ada"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(response.Body); err == nil || isTimeout(err) {
				t.Errorf("the events do not end with the session: %v", err)
			}
		})
	}
}

// isTimeout reports whether err is a timeout of the network.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
