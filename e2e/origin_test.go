package e2e

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// noSocket is the end that a page observes if the server refuses the handshake
// with an HTTP response.
var noSocket = end{Code: 1006, Messages: []string{}}

// otherSite serves a page of another origin: the same host with another port.
// The browser sends it the same cookies, because they are not bound to ports.
func otherSite(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Other site</title>"))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestForeignPageGetsNoSocket checks that a page of another origin opens no
// socket, neither with a ticket nor with cookies and the CSRF value.
func TestForeignPageGetsNoSocket(t *testing.T) {
	server := startServer(t)
	other := otherSite(t)
	socket := strings.Replace(server.url, "http", "ws", 1) + "/ws"

	t.Run("with a ticket", func(t *testing.T) {
		page := newTab(t)
		logIn(page, server, "cookie")
		ticket := run[string](page, newTicket)
		page.open(other)
		if diff := cmp.Diff(noSocket, page.dial(socket+"?ticket="+ticket)); diff != "" {
			t.Error(diff)
		}
		page = newTab(t)
		page.open(server.url)
		if got := page.dial(socket + "?ticket=nonsense"); got.Code != 3000 {
			t.Errorf("the server's own page got %+v, want to read why", got)
		}
	})

	t.Run("with cookies and a stolen CSRF value", func(t *testing.T) {
		page := newTab(t)
		logIn(page, server, "cookie")
		page.open(other)
		stolen := run[string](page, `document.cookie.match(/csrf_access_token=([^;]*)/)[1]`)
		if diff := cmp.Diff(noSocket, page.dial(socket+"?csrf_token="+stolen)); diff != "" {
			t.Error(diff)
		}
	})

	await(t, server.output, regexp.MustCompile(`reason=origin_not_allowed(?s:.*)reason=origin_not_allowed`))
}

// newTicket is an expression for a new ticket. The page must be logged in by
// cookies.
const newTicket = `fetch("/auth/ticket", {
	method: "POST",
	headers: {"Content-Type": "application/json", "X-CSRF-Token": document.cookie.match(/csrf_access_token=([^;]*)/)[1]},
	body: JSON.stringify({path: "/ws"}),
}).then((r) => r.json()).then((answer) => answer.ticket)`

func TestForeignPageAndTheExamples(t *testing.T) {
	other := otherSite(t)

	t.Run("query", func(t *testing.T) {
		server := start(t, "query", "-addr", "127.0.0.1:0")
		var login tokens
		post(t, server.url+"/login", testUser, &login)
		socket := strings.Replace(server.url, "http", "ws", 1) + "/ws?token=" + login.Access
		page := newTab(t)
		page.open(server.url)
		wantLogin(t, page.dial(socket), accessClaims)
		page.open(other)
		if diff := cmp.Diff(noSocket, page.dial(socket)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("cookie", func(t *testing.T) {
		server := start(t, "cookie", "-addr", "127.0.0.1:0")
		page := newTab(t)
		page.open(server.url + "/get-cookie")
		page.open(other)
		stolen := run[string](page, `document.cookie.match(/csrf_access_token=([^;]*)/)[1]`)
		socket := strings.Replace(server.url, "http", "ws", 1) + "/ws?csrf_token=" + stolen
		page.open(server.url)
		wantLogin(t, page.dial(socket), accessClaims)
		page.open(other)
		if diff := cmp.Diff(noSocket, page.dial(socket)); diff != "" {
			t.Error(diff)
		}
	})
}
