package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const sessionCount = `document.querySelectorAll("#sessions li").length`

// One window ends the session of another, whose socket closes at once and says
// why.
func TestSessionsRevokeOne(t *testing.T) {
	server := startServer(t)
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			page := openPage(t, server, way)
			other := openPage(t, server, "token")
			dispatch(page, `window.dispatchEvent(new Event("focus"))`)
			until[bool](page, sessionCount+" === 2")
			until[bool](page, `document.querySelectorAll("#sessions .sockets.open").length === 2`)
			if got := page.text("#sessions .current"); !strings.Contains(got, "This device") || !strings.Contains(got, "Chromium on Linux") {
				t.Errorf("the own session reads %q", got)
			}

			page.click("#sessions li:not(.current) button")
			if got := other.lastEnd(); got.Code != 3000 || got.Reason != "session_ended" {
				t.Errorf("the other window got %+v", got)
			}
			wantEnd(other, "3000", "session_ended", "The session has ended")
			until[bool](other, loginForm)
			until[bool](page, sessionCount+" === 1")
			if !run[bool](page, socketOpen) {
				t.Error("the own socket closed too")
			}
			if got := run[string](page, `document.querySelector("#timeline").textContent`); !strings.Contains(got, "1 socket closed") {
				t.Errorf("the page does not say how many sockets it closed: %s", got)
			}

			page.click("#sessions .current button") // and now its own
			wantEnd(page, "3000", "session_ended", "The session has ended")
			until[bool](page, loginForm)
		})
	}
}

// Everything of a user ends at once, and a login right afterwards works.
func TestSessionsLogOutEverywhere(t *testing.T) {
	server := startServer(t)
	page := openPage(t, server, "cookie")
	others := []*tab{openPage(t, server, "token"), openPage(t, server, "cookie")}
	page.click("#everywhere-button")
	for _, b := range append(others, page) {
		wantEnd(b, "3000", "session_ended", "The session has ended")
		until[bool](b, loginForm)
	}
	page.click("#login-button")
	page.text("#session-user")
	openSocket(page, "good")
	until[bool](page, socketOpen)
	until[bool](page, sessionCount+" === 1")
}

// A logout in one window is one in every window that shares its cookies; so is a
// login.
func TestSessionsOfOneBrowser(t *testing.T) {
	server := startServer(t)
	page := openPage(t, server, "cookie")
	other := page.newWindow()
	other.open(server.url)
	other.text("#session-user")
	openSocket(other, "good")
	until[bool](other, socketOpen)

	page.click("#logout-button")
	wantEnd(other, "3000", "session_ended", "The session has ended")
	for _, b := range []*tab{page, other} {
		until[bool](b, loginForm)
	}
	if n := other.count("/auth/refresh"); n > 1 {
		t.Errorf("%d refreshes of a login that is over", n)
	}
	page.click("#login-button")
	if got := other.text("#session-user"); got != "test" {
		t.Errorf("the other window shows %q", got)
	}
}

// On a telephone the page needs no scrolling to the side, whatever it shows.
func TestPageFitsATelephone(t *testing.T) {
	const width = 390
	server := startServer(t)
	page := newTab(t)
	page.do(chromedp.EmulateViewport(width, 844))
	fits := func(what string) {
		t.Helper()
		if got := run[int](page, "document.documentElement.scrollWidth"); got > width {
			t.Errorf("%s is %d pixels wide, want at most %d", what, got, width)
		}
	}
	page.open(server.url)
	until[bool](page, `document.querySelector("#attempt").options.length > 0`)
	fits("the page before the login")
	logIn(page, server, "token")
	openSocket(page, "good")
	until[bool](page, socketOpen)
	until[bool](page, sessionCount+" === 1")
	fits("the page with an open socket")
	page.click("#stepup-button")
	page.text("#stepup-title")
	fits("the dialog")
	page.click("#stepup-cancel")
	page.click("#everywhere-button")
	wantEnd(page, "3000", "session_ended", "The session has ended")
	fits("the page after the end")
}
