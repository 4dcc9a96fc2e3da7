package gateway

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/wsframe"
)

const wsKey = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455 section 1.3

// upgradeLines are those of a handshake.
var upgradeLines = []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + wsKey}

// rawly starts a backend that answers with text unchanged, except that LINES
// is replaced by lines.
func rawly(t *testing.T, text string, lines ...string) *backend {
	t.Helper()
	answer := strings.Replace(text, "LINES\r\n", strings.Join(append(lines, ""), "\r\n"), 1)
	b := &backend{Server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, buffered) // until the gateway hangs up
	}))}
	t.Cleanup(b.Close)
	return b
}

const (
	switches = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nLINES\r\n\r\n"
	says     = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nLINES\r\n\r\nhi"
)

// head sends a request and reads the head of its answer.
func (r *rig) head(path string, lines ...string) *http.Response {
	r.t.Helper()
	conn := r.connect()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: app.example\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	return must(http.ReadResponse(bufio.NewReader(conn), nil))
}

// TestR15_SwitchWithALength checks that no body follows a 101, whatever the
// upstream declares.
func TestR15_SwitchWithALength(t *testing.T) {
	r := behind(t, rawly(t, switches, "Sec-WebSocket-Accept: "+wsframe.AcceptKey(wsKey), "Content-Length: 5"))
	resp := r.head("/public/chat", upgradeLines...)
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Content-Length") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// TestUpstreamsSetNoLoginCookies checks that an upstream cannot set the login
// cookies with any kind of answer.
func TestUpstreamsSetNoLoginCookies(t *testing.T) {
	set := []string{
		"Set-Cookie: theirs=1; Path=/", "Set-Cookie: __Host-access_token_cookie=x; Secure; Path=/", "Set-Cookie: access_token_cookie=x", "Set-Cookie: csrf_refresh_token=x",
		"Set-Cookie:  refresh_token_cookie =x",
	}
	accept := "Sec-WebSocket-Accept: " + wsframe.AcceptKey(wsKey)
	for name, c := range map[string]struct {
		text  string
		lines []string
	}{
		"plain":   {says, nil},
		"socket":  {switches, upgradeLines},
		"refusal": {says, upgradeLines},
	} {
		r := behind(t, rawly(t, c.text, append(set, accept)...))
		if got := r.head("/public/a", c.lines...).Header["Set-Cookie"]; !slices.Equal(got, []string{"theirs=1; Path=/"}) {
			t.Errorf("%s: %q", name, got)
		}
		theirs := behind(t, rawly(t, c.text, append(set, accept)...), func(c *Config) { c.Login.Users = nil }) // another server logs in
		if got := theirs.head("/public/a", c.lines...).Header["Set-Cookie"]; len(got) != len(set) {
			t.Errorf("%s, without a login: %q", name, got)
		}
	}
}

// TestAnswersAreNotGuessedAt checks that the gateway adds no header that the
// upstream omits.
func TestAnswersAreNotGuessedAt(t *testing.T) {
	r := behind(t, rawly(t, says, "X-A: b"))
	if h := r.head("/public/a").Header; len(h["Content-Type"]) != 0 {
		t.Errorf("%q", h)
	}
	r = behind(t, rawly(t, says, "Content-Type: text/x"))
	if h := r.head("/public/a").Header; h.Get("Content-Type") != "text/x" {
		t.Errorf("%q", h)
	}
}

// TestL4_EventsOfAnySpelling checks that event streams end with the session,
// whatever the spelling of their content type: browsers accept any.
func TestL4_EventsOfAnySpelling(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "Text/Event-Stream ; charset=utf-8", "text/event-stream; charset=utf-8; charset=x", "text/event-stream;;", "text/event-stream; ="} {
		r := behind(t, rawly(t, "HTTP/1.1 200 OK\r\nLINES\r\n\r\ndata: hello\n\n", "Content-Type: "+kind))
		access, refresh := r.login()
		resp := r.head("/events", bearer(access))
		r.call("POST", "/auth/logout", "", bearer(refresh))
		if _, err := io.ReadAll(resp.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: the events are not cut: %v", kind, err)
		}
	}
}
