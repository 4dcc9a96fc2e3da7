package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const sessionCount = `document.querySelectorAll("#sessions li").length`

// TestSessionsRevokeOne checks that one window can end the session of another.
// The socket of the other window closes at once, and the window shows the
// reason.
func TestSessionsRevokeOne(t *testing.T) {
	server := startServer(t)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			page := openPage(t, server, mode)
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
				t.Errorf("the page does not show how many sockets it closed: %s", got)
			}

			page.click("#sessions .current button") // end the window's own session
			wantEnd(page, "3000", "session_ended", "The session has ended")
			until[bool](page, loginForm)
		})
	}
}

// TestSessionsLogOutEverywhere checks that all sessions of a user end at once,
// and that a login right afterwards works.
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

// TestSessionsOfOneBrowser checks that a logout or a login in one window also
// applies to the other windows with the same cookies.
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

// TestSessionsOfTwoKinds checks that two sessions in one browser, one with
// cookies and one with tokens, do not affect each other.
func TestSessionsOfTwoKinds(t *testing.T) {
	for i, mode := range modes {
		t.Run(mode+" logs out first", func(t *testing.T) {
			server := startServer(t)
			token := newTab(t)
			logIn(token, server, "token")
			cookie := token.newWindow()
			logIn(cookie, server, "cookie")
			pages := []*tab{token, cookie}
			for _, b := range pages {
				openSocket(b, "good")
				until[bool](b, socketOpen)
			}
			for _, b := range pages {
				b.click("#close-button")
				wantEnd(b, "1000", "done", "Closed normally")
				b.click("#refresh-button")
				until[bool](b, timelineCount("Refreshed")+" === 1")
				openSocket(b, "good")
				until[bool](b, socketOpen)
			}

			first, second := pages[i], pages[1-i]
			for round := range 2 {
				first.click("#logout-button")
				wantEnd(first, "3000", "session_ended", "The session has ended")
				until[bool](first, loginForm)
				second.set("#message", fmt.Sprint("round ", round))
				second.click("#send-button")
				echo := fmt.Sprintf(`[...document.querySelectorAll("#messages li:not(.system, .sent)")].some((e) => e.textContent === "round %d")`, round)
				until[bool](second, echo)
				second.click("#refresh-button")
				until[bool](second, fmt.Sprintf("%s === %d", timelineCount("Refreshed"), round+2))

				first.click("#login-button")
				first.text("#session-user")
				openSocket(first, "good")
				until[bool](first, socketOpen)
			}
			second.click("#logout-button")
			wantEnd(second, "3000", "session_ended", "The session has ended")
			first.click("#refresh-button")
			until[bool](first, timelineCount("Refreshed")+" === 2")
			for b, want := range map[*tab]int{first: 4, second: 2} {
				if n := run[int](b, timelineCount("The socket is open")); n != want {
					t.Errorf("a window opened %d sockets, want %d: %s", n, want, b.text("#timeline"))
				}
			}
			if !run[bool](first, socketOpen) {
				t.Error("the other logout closed the socket too")
			}
		})
	}
}

// TestSessionListIsUpdated checks that a visible page shows changes by other
// devices within five seconds, and that a hidden page sends no requests.
func TestSessionListIsUpdated(t *testing.T) {
	server := startServer(t)
	page := newTab(t)
	page.prepare(`{
		const [set, clear] = [window.setTimeout, window.clearTimeout];
		window.slow = new Map(); // the timers of five seconds, which fire when the test says so
		window.timers = 0;
		window.setTimeout = (work, wait, ...args) => {
			timers++;
			if (wait !== 5000) return set(work, wait, ...args);
			slow.set(-timers, work);
			return -timers;
		};
		window.clearTimeout = (id) => (slow.delete(id) || clear(id));
	}`)
	logIn(page, server, "token")
	until[bool](page, sessionCount+" === 1")
	const (
		planned = `window.slow.size === 1`
		pass    = `{ const [[id, work]] = slow; slow.delete(id); work() }`
		turn    = `Object.defineProperty(document, "visibilityState", {configurable: true, value: "%s"}); ` + looksAgain
	)
	looked := func() int { return page.count("/auth/sessions") }
	until[bool](page, planned)
	for range 2 {
		before := looked()
		dispatch(page, pass)
		until[bool](page, planned)
		if n := looked() - before; n != 1 {
			t.Errorf("five seconds later the page looked %d times, want 1", n)
		}
	}

	before := looked()
	dispatch(page, fmt.Sprintf(turn, "hidden"))
	if run[bool](page, planned) {
		t.Error("a hidden page has set a timer")
	}
	if n := run[int](page, `{ const before = timers; window.dispatchEvent(new Event("focus")); timers - before }`); n != 0 {
		t.Error("a hidden page has set a timer after an event")
	}
	dispatch(page, fmt.Sprintf(turn, "visible"))
	until[bool](page, planned)
	if n := looked() - before; n != 1 { // an earlier request would be visible by now
		t.Errorf("seen again, the page has looked %d times, want 1", n)
	}
}
