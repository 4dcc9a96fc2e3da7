package e2e

import (
	"fmt"
	"testing"
)

// mayAnswer prepares each page that the tab opens from now on for calls of
// answers.
func (b *tab) mayAnswer() {
	b.t.Helper()
	b.prepare(`{ const real = window.fetch; window.answers = {}; window.fetch = (url, init) => window.answers[url]?.() ?? real(url, init) }`)
}

// answers replaces the server's responses to requests for path, from now on.
// expression returns the promise of a response.
func (b *tab) answers(path, expression string) {
	b.t.Helper()
	dispatch(b, fmt.Sprintf("window.answers[%q] = () => %s", path, expression))
}

const (
	refuses  = `Promise.resolve(Response.json({reason: "session_ended"}, {status: 401}))`
	noAnswer = `new Promise(() => {})`
)

// wantSessionOver fails the test unless the page shows that the session and its
// socket have ended, and disables the controls of the socket.
func wantSessionOver(b *tab) {
	b.t.Helper()
	until[bool](b, loggedOut)
	until[bool](b, loginForm)
	if n := run[int](b, timelineCount("You are logged out")); n != 1 {
		b.t.Errorf("the page reports the logout %d times, want once", n)
	}
	if !run[bool](b, `document.querySelector("#message").disabled && document.querySelector("#expiry").hidden && document.querySelector("#end-auto").hidden`) {
		b.t.Error("the page still shows a socket that is usable or reconnecting")
	}
	if offered := run[[]string](b, `[...document.querySelectorAll("#end .actions button:not([hidden])")].map((e) => e.textContent)`); len(offered) != 1 || offered[0] != "Log in" {
		b.t.Errorf("the page offers %q, want only to log in", offered)
	}
}

// TestSessionEndsBeforeItsSocket checks a page that learns that its session is
// over before the server ends its socket. The page shows the socket as ended,
// and does not reconnect.
func TestSessionEndsBeforeItsSocket(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode+" open", func(t *testing.T) {
			page := newTab(t)
			page.mayAnswer()
			logIn(page, server, mode)
			openSocket(page, "good")
			until[bool](page, socketOpen)
			page.answers("/auth/refresh", refuses)
			page.click("#refresh-button")
			wantSessionOver(page)
			wantEnd(page, "1000", "logged_out", "You are logged out")
			wantSessionOver(page) // the end of the socket changes nothing
		})
		t.Run(mode+" connecting", func(t *testing.T) {
			page := newTab(t)
			page.mayAnswer()
			logIn(page, server, mode)
			page.answers("/auth/ticket", noAnswer)
			page.answers("/auth/refresh", refuses)
			openSocket(page, "good")
			until[bool](page, `document.querySelector("#socket-state").textContent === "Connecting"`)
			page.click("#refresh-button")
			wantSessionOver(page)
			if got := page.text("#end-title"); got != "You are logged out" {
				t.Errorf("the page explains %q", got)
			}
		})
	}
	t.Run("waiting", func(t *testing.T) {
		page := newTab(t)
		page.mayAnswer()
		logIn(page, server, "token")
		openSocket(page, "good")
		until[bool](page, socketOpen)
		server.kill(t)
		until[bool](page, comingBack)
		page.answers("/auth/refresh", refuses)
		page.click("#refresh-button")
		wantSessionOver(page)
		// The page shows the end of the socket or, if an attempt to reconnect
		// has already failed, the end of the attempt.
		if page.text("#end-title") == "The connection broke" {
			wantEnd(page, "1006", "", "The connection broke")
		} else {
			wantEnd(page, "1006", "unreachable", "The server cannot be reached")
		}
	})
}
