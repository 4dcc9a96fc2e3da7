package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The tests in this file check the browser client within the server's own page.

// openPage logs in and opens the page's socket after watchSockets.
func openPage(t *testing.T, server *program, mode string) *tab {
	t.Helper()
	page := newTab(t)
	logIn(page, server, mode)
	page.watchSockets()
	openSocket(page, "good")
	until[bool](page, socketOpen)
	return page
}

// timelineCount returns an expression for how many entries of the page's
// timeline begin with text.
func timelineCount(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#timeline li div")].filter((e) => e.textContent.startsWith(%q)).length`, text)
}

// dispatch evaluates an expression that dispatches an event or changes the
// page, and ignores its value.
func dispatch(b *tab, expression string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](expression))
}

// onLine returns an expression that makes the page see itself online or
// offline.
func onLine(is bool) string {
	return fmt.Sprintf(`Object.defineProperty(navigator, "onLine", { value: %v, configurable: true })`, is)
}

const (
	backOnline = `window.dispatchEvent(new Event("online"))`
	looksAgain = `document.dispatchEvent(new Event("visibilitychange"))`
	hourLater  = `{ const now = Date.now; Date.now = () => now() + 3600e3 }`
	comingBack = `document.querySelector("#socket-state").textContent === "Reconnecting"`
	loggedOut  = `document.querySelector("#socket-state").textContent === "Logged out"`
)

// TestClientAddress checks that the page opens a socket with a ticket, with or
// without cookies, and puts no access or refresh token into the address.
func TestClientAddress(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := openPage(t, server, mode)
			got := page.sockets()
			if len(got) != 1 || !strings.Contains(got[0], "/ws?ticket=") || strings.Contains(got[0], "eyJ") {
				t.Errorf("the page opened %q", got)
			}
		})
	}
}

// TestClientRenewsTheSocket checks that a socket outlives many access tokens
// without reconnecting.
func TestClientRenewsTheSocket(t *testing.T) {
	server := startServer(t, "--access-ttl", "3s")
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := openPage(t, server, mode)
			until[bool](page, timelineCount("The socket was renewed")+" >= 4")
			if got := page.sockets(); len(got) != 1 {
				t.Errorf("the page opened %d sockets, want 1", len(got))
			}
			if !run[bool](page, socketOpen) {
				t.Error("the socket is not open any more")
			}
			if n := page.count("/auth/refresh"); n < 4 || n > 8 {
				t.Errorf("%d refreshes for at least 4 renewals", n)
			}
		})
	}
}

// TestClientAfterARestart checks that the client reconnects after a restart of
// the server.
func TestClientAfterARestart(t *testing.T) {
	for _, end := range []struct {
		name string
		stop func(*program, *testing.T)
		code string
	}{
		{"1012 restarting", (*program).terminate, "1012"},
		{"1006 killed", (*program).kill, "1006"},
	} {
		t.Run(end.name, func(t *testing.T) {
			server := startServer(t)
			page := openPage(t, server, "token")
			end.stop(server, t)
			if got := page.lastEnd(); fmt.Sprint(got.Code) != end.code {
				t.Errorf("the socket got %+v, want %s", got, end.code)
			}
			if got := page.text("#end-title"); got == "" {
				t.Error("the page does not explain the end")
			}
			server.restart(t)
			until[bool](page, socketOpen)
			if run[bool](page, `!document.querySelector("#end").hidden`) {
				t.Error("the page still shows the end")
			}
			if n := page.count("/auth/login"); n != 1 {
				t.Errorf("%d logins, want 1", n)
			}
		})
	}
}

// TestClientBackOnline checks that the client refreshes before it reconnects
// when the network is back.
func TestClientBackOnline(t *testing.T) {
	server := startServer(t)
	page := openPage(t, server, "token")
	dispatch(page, onLine(false)) // so that the client does not reconnect yet
	server.kill(t)
	until[bool](page, comingBack)
	server.restart(t)
	before := len(page.requests())
	dispatch(page, onLine(true))
	dispatch(page, backOnline)
	until[bool](page, socketOpen)
	wantRefreshFirst(page, before)
}

// TestClientAfterASleep checks that the client refreshes before it reconnects
// after the computer has slept for an hour.
func TestClientAfterASleep(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := openPage(t, server, mode)
			before := len(page.requests())
			dispatch(page, hourLater)
			dispatch(page, looksAgain)
			until[bool](page, timelineCount("The socket is open")+" === 2")
			wantRefreshFirst(page, before)
			if n := len(page.sockets()); n != 2 {
				t.Errorf("%d sockets, want 2", n)
			}
		})
	}
}

// wantRefreshFirst fails the test unless the page requested a refresh, and no
// ticket before it. It ignores the requests before the index first.
func wantRefreshFirst(b *tab, first int) {
	b.t.Helper()
	got := b.requests()[first:]
	refreshed, asked := slices.Index(got, "/auth/refresh"), slices.Index(got, "/auth/ticket")
	if refreshed < 0 || asked >= 0 && asked < refreshed {
		b.t.Errorf("the page requested %q, want a refresh first", got)
	}
}

// TestClientAfterTheSessionEnded checks that the page reports the end of its
// session once, and that the client then stops sending requests.
func TestClientAfterTheSessionEnded(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := openPage(t, server, mode)
			other := newTab(t)
			logIn(other, server, "token")
			other.click("#everywhere-button")
			until[bool](page, loggedOut)
			until[bool](page, loginForm)
			for range 5 {
				for _, event := range []string{backOnline, looksAgain, `window.dispatchEvent(new Event("focus"))`} {
					dispatch(page, event)
				}
			}
			dispatch(page, hourLater)
			dispatch(page, looksAgain)
			if n := page.count("/auth/refresh"); n != 1 {
				t.Errorf("%d refreshes, want 1: %q", n, page.requests())
			}
			if n := run[int](page, timelineCount("You are logged out")); n != 1 {
				t.Errorf("the page reports the logout %d times, want once", n)
			}
			if n := len(page.sockets()); n != 1 {
				t.Errorf("%d sockets, want 1", n)
			}

			page.click("#login-button")
			page.text("#session-user")
			openSocket(page, "good")
			until[bool](page, socketOpen)
			if n := page.count("/auth/refresh"); n != 1 { // a late request would have been counted by now
				t.Errorf("%d refreshes in the end, want 1: %q", n, page.requests())
			}
		})
	}
}

// TestClientStops checks that the client does not reconnect on its own after
// close code 3003. Otherwise two windows would evict each other forever.
func TestClientStops(t *testing.T) {
	server := startServer(t, "--max-sockets", "1")
	page := openPage(t, server, "token")
	other := openPage(t, server, "token")
	wantEnd(page, "3003", "connection_limit", "A newer socket")
	dispatch(page, backOnline)
	dispatch(page, looksAgain)
	other.fill("#message", "still here")
	other.click("#send-button")
	until[string](other, `document.querySelector("#messages li:not(.system, .sent)")?.textContent`)
	if n := len(page.sockets()); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	if state := page.text("#socket-state"); state != "Ended" {
		t.Errorf("the page shows %q", state)
	}
}

// TestClientInTwoWindows checks that two windows with the same cookies can
// refresh at the same moment, several times. Both stay logged in, and their
// sockets stay open.
func TestClientInTwoWindows(t *testing.T) {
	server := startServer(t)
	page := openPage(t, server, "cookie")
	other := page.newWindow()
	other.open(server.url)
	other.text("#session-user")
	openSocket(other, "good")
	until[bool](other, socketOpen)

	for round := range 5 {
		at := run[float64](page, "Date.now() + 200")
		click := fmt.Sprintf(`setTimeout(() => document.querySelector("#refresh-button").click(), %f - Date.now())`, at)
		refreshed := timelineCount("Refreshed")
		dispatch(page, click)
		dispatch(other, click)
		for _, b := range []*tab{page, other} {
			until[bool](b, fmt.Sprintf("%s === %d", refreshed, round+1))
		}
	}
	for _, b := range []*tab{page, other} {
		if !run[bool](b, socketOpen) || run[bool](b, loginForm) || run[int](b, timelineCount("The socket is open")) != 1 {
			t.Errorf("a window lost its socket: %s", b.text("#timeline"))
		}
	}
	if n := page.count("/auth/refresh") + other.count("/auth/refresh"); n < 5 || n > 10 {
		t.Errorf("%d refreshes in 5 rounds", n)
	}
	until[bool](page, `document.querySelectorAll("#sessions li").length === 1`)
	until[bool](page, `document.querySelector("#sessions li").textContent.includes("2 open sockets")`)
}

// TestClientStepUp checks that the page asks for the password when the server
// requires a fresh token on the open socket. A wrong password does not end the
// session.
func TestClientStepUp(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := openPage(t, server, mode)
			page.click("#refresh-button") // a refreshed session is not fresh
			until[bool](page, timelineCount("The socket was renewed")+" === 1")
			page.click("#sensitive-button")
			page.fill("#stepup-password", "wrong")
			page.click("#stepup-confirm")
			if got := page.text("#stepup-error"); !strings.Contains(got, "password") {
				t.Errorf("the dialog shows %q", got)
			}
			page.fill("#stepup-password", "test")
			page.click("#stepup-confirm")
			until[bool](page, timelineCount("The server has received a fresh token")+" === 1")
			until[bool](page, `!document.querySelector("#stepup").open`)
			if n := len(page.sockets()); n != 1 {
				t.Errorf("%d sockets, want 1", n)
			}
			if run[bool](page, loginForm) {
				t.Error("a wrong password logged the person out")
			}
		})
	}
}
