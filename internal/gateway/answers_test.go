package gateway

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/wstest"
)

// upgradeLines holds the header lines of a handshake.
var upgradeLines = slices.Clip(wstest.UpgradeLines())

// rawBackend starts a backend that answers with text unchanged, except that it
// replaces LINES by lines.
func rawBackend(t *testing.T, text string, lines ...string) *backend {
	t.Helper()
	answer := strings.Replace(text, "LINES\r\n", strings.Join(append(lines, ""), "\r\n"), 1)
	b := &backend{Server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, buffered) // until the gateway disconnects
	}))}
	t.Cleanup(b.Close)
	return b
}

const answerTemplate = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nLINES\r\n\r\nhi"

// head sends a request and reads the header of its answer.
func (r *rig) head(path string, lines ...string) *http.Response {
	r.T.Helper()
	conn := r.Connect()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: app.example\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		r.T.Fatal(err)
	}
	return must(http.ReadResponse(bufio.NewReader(conn), nil))
}

// TestAnswersAreNotGuessedAt checks that the gateway adds no header that the
// upstream omits.
func TestAnswersAreNotGuessedAt(t *testing.T) {
	r := serveBehind(t, rawBackend(t, answerTemplate, "X-A: b"))
	if h := r.head("/public/a").Header; len(h["Content-Type"]) != 0 {
		t.Errorf("got %q, want no Content-Type", h)
	}
	r = serveBehind(t, rawBackend(t, answerTemplate, "Content-Type: text/x"))
	if h := r.head("/public/a").Header; h.Get("Content-Type") != "text/x" {
		t.Errorf("got %q, want the Content-Type text/x", h)
	}
}
