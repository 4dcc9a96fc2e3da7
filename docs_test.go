package wsauth_test

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/token"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tableRows yields the cells of the rows of the tables in a page whose header
// is the given one, each row with the heading above it.
func tableRows(page, header string) (rows [][]string) {
	heading, inside := "", false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			heading, inside = strings.TrimLeft(line, "# "), false
		case line == header:
			inside = true
		case !strings.HasPrefix(line, "|"):
			inside = false
		case inside && !strings.HasPrefix(line, "|-"):
			cells := []string{heading}
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// The page about errors has every reason, exactly as the code has it, and no
// other.
func TestErrorsPage(t *testing.T) {
	documented := map[wsauth.Reason]wsauth.Outcome{}
	for _, row := range tableRows(readDoc(t, "docs/errors.md"), "| reason | HTTP | close | text | when |") {
		if len(row) != 6 || row[5] == "" {
			t.Fatalf("row %q has not five filled cells", row)
		}
		reason := wsauth.Reason(strings.Trim(row[1], "`"))
		if _, twice := documented[reason]; twice {
			t.Errorf("%s is there twice", reason)
		}
		status, statusErr := strconv.Atoi(row[2])
		code, codeErr := strconv.Atoi(row[3])
		if err := cmp.Or(statusErr, codeErr); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
		advice := wsauth.Advice(strings.ToLower(row[0][:1]) + row[0][1:])
		documented[reason] = wsauth.Outcome{Status: status, Code: code, Text: row[4], Advice: advice}
	}
	actual := map[wsauth.Reason]wsauth.Outcome{}
	for _, reason := range wsauth.Reasons() {
		actual[reason] = reason.Outcome()
	}
	if diff := gocmp.Diff(actual, documented); diff != "" {
		t.Errorf("docs/errors.md differs (- code, + page):\n%s", diff)
	}
}

// The answer that the page about errors shows is the one that a client gets.
func TestErrorsPageExample(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: expiredVerifier{}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	guard.Require(wsauth.Access)(http.NotFoundHandler()).ServeHTTP(w, r)
	var answer strings.Builder
	answer.WriteString("HTTP/1.1 " + w.Result().Status + "\n")
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		answer.WriteString(name + ": " + w.Header().Get(name) + "\n")
	}
	answer.WriteString("\n" + w.Body.String())
	_, example, _ := strings.Cut(readDoc(t, "docs/errors.md"), "```http\n")
	example, _, _ = strings.Cut(example, "```")
	if diff := gocmp.Diff(answer.String(), example); diff != "" {
		t.Errorf("(- answer, + page):\n%s", diff)
	}
}

type expiredVerifier struct{}

func (expiredVerifier) Verify(context.Context, string) (*token.Claims, error) {
	return nil, &token.Error{Kind: token.ErrExpired}
}

// What the page about security says of net/http, for a plain request and for
// a handshake behind the guard.
func TestSecurityPage(t *testing.T) {
	const host, handshake = "Host: a\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	const bothLengths = "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	sent := map[string]struct {
		plain   []string
		upgrade string
	}{
		"`Content-Length` and `Transfer-Encoding: chunked`": {
			plain:   []string{"POST / HTTP/1.1\r\n" + host + bothLengths},
			upgrade: "GET / HTTP/1.1\r\n" + host + handshake + bothLengths,
		},
		"two different `Content-Length`": {
			plain: []string{"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
		},
		"`Transfer-Encoding` other than one `chunked`": {
			plain: []string{
				"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
				"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: identity\r\n\r\n",
			},
		},
		"lines that end in a bare LF": {
			plain: []string{"GET / HTTP/1.1\nHost: a\n\n"},
		},
		"a bare CR or NUL in a field": {
			plain: []string{"GET / HTTP/1.1\r\n" + host + "X: 1\r2\r\n\r\n", "GET / HTTP/1.1\r\n" + host + "X: 1\x002\r\n\r\n"},
		},
		"a field folded over two lines": {
			plain: []string{"GET / HTTP/1.1\r\n" + host + "X: 1\r\n 2\r\n\r\n"},
		},
		"a space before the colon": {
			plain: []string{"GET / HTTP/1.1\r\n" + host + "X : 1\r\n\r\n"},
		},
		"no `Host`, or two": {
			plain: []string{"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n" + host + "Host: b\r\n\r\n"},
		},
		"a target with a host of its own": {
			plain:   []string{"GET http://b/ HTTP/1.1\r\n" + host + "\r\n"},
			upgrade: "GET http://b/ HTTP/1.1\r\n" + host + handshake + "\r\n",
		},
	}
	guard, err := wsauth.New(wsauth.Config{Verifier: expiredVerifier{}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(guard.Require(wsauth.Optional)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	defer server.Close()
	rows := tableRows(readDoc(t, "docs/security.md"), "| sent | net/http | the guard |")
	if len(rows) != len(sent) {
		t.Errorf("the page has %d rows, the test %d", len(rows), len(sent))
	}
	for _, row := range rows {
		request, ok := sent[row[1]]
		if !ok {
			t.Errorf("%s: not tested", row[1])
			continue
		}
		want, _, _ := strings.Cut(strings.Replace(row[2], "accepted", "200", 1), ":")
		want, _, closed := strings.Cut(want, ", closed")
		for _, plain := range request.plain {
			if status, hungUp := exchange(t, server, plain); status != want || hungUp != closed {
				t.Errorf("%q: %s, hung up: %v; the page says %q", plain, status, hungUp, row[2])
			}
		}
		if request.upgrade == "" {
			continue
		}
		if status, _ := exchange(t, server, request.upgrade); "a handshake: "+status != row[3] {
			t.Errorf("%s: handshake %s; the page says %q", row[1], status, row[3])
		}
	}
}

// exchange sends raw bytes and returns the status of the answer, and whether
// the server closes the connection.
func exchange(t *testing.T, server *httptest.Server, request string) (status string, closes bool) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer answer.Body.Close()
	return strconv.Itoa(answer.StatusCode), answer.Close
}
