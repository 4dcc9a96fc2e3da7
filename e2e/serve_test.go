package e2e

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// modes are the two ways in which the page can send its token.
var modes = []string{"token", "cookie"}

// logIn logs the test user in on the server's page.
func logIn(b *tab, server *program, mode string) {
	b.t.Helper()
	b.open(server.url)
	b.click("#transport-" + mode)
	b.click("#login-button")
	if got := b.text("#session-user"); got != "test" {
		b.t.Fatalf("logged in as %q, want test", got)
	}
}

// openSocket opens the page's socket with the chosen credential.
func openSocket(b *tab, attempt string) {
	b.t.Helper()
	b.set("#attempt", attempt)
	b.click("#open-button")
}

// loginForm is an expression that reports whether the page shows the login
// form.
const loginForm = `!document.querySelector("#login-form").hidden`

const socketOpen = `document.querySelector("#socket-state").dataset.state === "open"`

// wantEnd fails the test unless the page shows this end of the socket.
func wantEnd(b *tab, code, reason, title string) {
	b.t.Helper()
	until[bool](b, `!document.querySelector("#end").hidden`)
	if got := b.text("#end-code"); got != code {
		b.t.Errorf("the page shows code %q, want %s", got, code)
	}
	if got := run[string](b, `document.querySelector("#end-reason").textContent`); got != reason {
		b.t.Errorf("the page shows reason %q, want %s", got, reason)
	}
	if got := b.text("#end-title"); !strings.Contains(got, title) {
		b.t.Errorf("the page explains %q, want %q", got, title)
	}
	if got := b.text("#end-advice"); got == "" {
		b.t.Error("the page gives no advice")
	}
}

// TestServeEcho checks that a socket of the page echoes messages, with each way
// of sending the token.
func TestServeEcho(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := newTab(t)
			logIn(page, server, mode)
			openSocket(page, "good")
			until[bool](page, socketOpen)
			page.fill("#message", "Grüße, 世界")
			page.click("#send-button")
			if got := until[string](page, `document.querySelector("#messages li:not(.system, .sent)")?.textContent`); got != "Grüße, 世界" {
				t.Errorf("the echo is %q", got)
			}
			if page.text("#expiry-text") == "" {
				t.Error("the page does not show how long the socket may stay open")
			}
			page.click("#close-button")
			wantEnd(page, "1000", "done", "Closed normally")
		})
	}
}

func TestServeTokenByHeader(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	logIn(page, server, "token")
	page.click("#session-button")
	if got := page.text("#session-note"); !strings.Contains(got, "Authorization header") {
		t.Errorf("the page shows %q", got)
	}
}

func TestServeRefusals(t *testing.T) {
	server := startServer(t)
	refusals := []struct{ mode, attempt, code, reason, title string }{
		{"token", "none", "3000", "token_missing", "no token"},
		{"token", "tampered", "3000", "token_invalid", "not valid"},
		{"token", "used", "3000", "token_invalid", "not valid"},
		{"token", "address", "3003", "invalid_request", "ambiguous"},
		{"cookie", "used", "3000", "token_invalid", "not valid"},
		{"cookie", "none", "3003", "csrf_mismatch", "CSRF"},
		{"cookie", "tampered", "3003", "csrf_mismatch", "CSRF"},
	}
	for _, r := range refusals {
		t.Run(r.mode+"/"+r.attempt, func(t *testing.T) {
			page := newTab(t)
			logIn(page, server, r.mode)
			openSocket(page, r.attempt)
			wantEnd(page, r.code, r.reason, r.title)
		})
	}
}

// TestServeExpiry checks that a socket that is not renewed ends with its token,
// and that the page can reopen it.
func TestServeExpiry(t *testing.T) {
	server := startServer(t, "--access-ttl", "3s")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := newTab(t)
			logIn(page, server, mode)
			page.click("#stay")
			openSocket(page, "good")
			until[bool](page, socketOpen)
			wantEnd(page, "3000", "token_expired", "has expired")
			page.click("#end-refresh")
			until[bool](page, socketOpen)
		})
	}
}

func TestServeWrongPassword(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	page.open(server.url)
	page.fill("#password", "wrong")
	page.click("#login-button")
	if got := page.text("#login-error"); got != "Bad username or password" {
		t.Errorf("the page shows %q", got)
	}
}

// TestServeLogout checks that a ticket opens no socket after the logout of its
// session.
func TestServeLogout(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	logIn(page, server, "cookie")
	socket := strings.Replace(server.url, "http", "ws", 1) + "/ws?ticket=" + run[string](page, newTicket)
	page.click("#logout-button")
	until[bool](page, loginForm)
	if got := page.dial(socket); got.Code != 3000 || got.Reason != "token_revoked" || len(got.Messages) != 0 {
		t.Errorf("the socket got %+v", got)
	}
}

// TestServeAPIPage checks that the forms of the API page can log in and request
// the session.
func TestServeAPIPage(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	page.open(server.url + "/docs")
	page.click("#login summary")
	page.click("#login form button")
	if got := page.text("#login .result-head b"); !strings.HasPrefix(got, "200 ") {
		t.Fatalf("the login shows %q", got)
	}
	page.click("#login .result-head button") // "Use access token"
	page.click("#session summary")
	page.click("#session form button")
	if got := page.text("#session .result"); !strings.Contains(got, "200 ") || !strings.Contains(got, `"sub": "test"`) {
		t.Errorf("the session shows %q", got)
	}
}

// TestServeByKeyboard checks that the page can be used without a mouse.
func TestServeByKeyboard(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	page.open(server.url)
	tabTo(page, "password")
	page.do(chromedp.KeyEvent("\r"))
	page.text("#session-user")
	tabTo(page, "open-button")
	page.do(chromedp.KeyEvent("\r"))
	until[bool](page, socketOpen)
	until[bool](page, `document.activeElement.id === "message"`)
	page.do(chromedp.KeyEvent("hello\r"))
	if got := until[string](page, `document.querySelector("#messages li:not(.system, .sent)")?.textContent`); got != "hello" {
		t.Errorf("the echo is %q", got)
	}
}

// tabTo presses the tab key until the element with the ID has the focus.
func tabTo(b *tab, id string) {
	b.t.Helper()
	const limit = 40
	for range limit {
		if run[string](b, "document.activeElement.id") == id {
			return
		}
		b.do(chromedp.KeyEvent("\t"))
	}
	b.t.Fatalf("the tab key does not reach #%s", id)
}

// TestServeAfterCookiesOfAnotherProgram checks that cookies of another program
// on the same host do no harm. Cookies are not bound to ports, so the browser
// sends them too.
func TestServeAfterCookiesOfAnotherProgram(t *testing.T) {
	server := startServer(t)
	other := start(t, "cookie", "-addr", "127.0.0.1:0")
	page := newTab(t)
	page.open(other.url + "/get-cookie")
	page.open(server.url)
	if seen := run[string](page, "document.cookie"); !strings.Contains(seen, "csrf_access_token=") {
		t.Fatalf("the page has the cookies %q, want those of the other program", seen)
	}
	logIn(page, server, "token")
	openSocket(page, "good")
	until[bool](page, socketOpen)
}

// TestServeWithoutHTTPS checks the page over plain HTTP from another machine,
// where the browser stores no cookies and offers no clipboard. The page reports
// this, and login by token works.
func TestServeWithoutHTTPS(t *testing.T) {
	server := startServer(t)
	server.url = strings.Replace(server.url, "127.0.0.1", otherName, 1)
	page := newTab(t)
	page.open(server.url)
	page.click("#transport-cookie")
	page.click("#login-button")
	if got := page.text("#login-error"); !strings.Contains(got, "did not store the cookies, because this page was not loaded over HTTPS") {
		t.Errorf("the page shows %q", got)
	}
	if run[bool](page, `document.querySelector("#login-form").hidden`) {
		t.Error("the page shows a login that is none")
	}
	logIn(page, server, "token")
	openSocket(page, "good")
	until[bool](page, socketOpen)

	page.open(server.url + "/docs")
	page.click("#login summary")
	page.click("#login form button")
	if got := page.text("#login .result-head"); !strings.HasPrefix(got, "200 ") || strings.Contains(got, "Copy") {
		t.Errorf("the API page shows %q, want no button that cannot work", got)
	}
}

// TestServeAPIPageWithCookiesToo checks that on the API page, a bearer token
// takes precedence over the browser's cookies.
func TestServeAPIPageWithCookiesToo(t *testing.T) {
	server := startServer(t)
	var login tokens
	post(t, server.url+"/auth/login", testUser, &login)
	page := newTab(t)
	logIn(page, server, "cookie")
	page.open(server.url + "/docs")
	page.set("#bearer", login.Access)
	page.click("#session summary")
	page.click("#session form button")
	if got := page.text("#session .result-head b"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("the session shows %q", got)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(login.Access, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ SID string }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.SID == "" {
		t.Fatalf("%s: got %v", payload, err)
	}
	if got := page.text("#session .result"); !strings.Contains(got, claims.SID) {
		t.Errorf("the session is not %s of the bearer token, but %q", claims.SID, got)
	}
}

// TestServeRefusedHandshake checks that the page does not retry forever if
// handshakes are refused with an HTTP response. This happens, for example,
// behind a proxy that the server does not know.
func TestServeRefusedHandshake(t *testing.T) {
	server := startServer(t, "--origin", "https://app.example")
	page := newTab(t)
	logIn(page, server, "token")
	openSocket(page, "good")
	wantEnd(page, "1006", "", "handshake failed")
	if got := page.text("#end-advice"); !strings.Contains(got, "--origin") {
		t.Errorf("the page advises %q", got)
	}
}
