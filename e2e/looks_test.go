package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

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
