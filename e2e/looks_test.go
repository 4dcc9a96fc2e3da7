package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPageFitsAPhone checks that the page needs no horizontal scrolling on a
// phone.
func TestPageFitsAPhone(t *testing.T) {
	const width = 390
	server := startServer(t)
	page := newTab(t)
	page.do(chromedp.EmulateViewport(width, 844))
	wantFits := func(what string) {
		t.Helper()
		if got := run[int](page, "document.documentElement.scrollWidth"); got > width {
			t.Errorf("%s is %d pixels wide, want at most %d", what, got, width)
		}
	}
	page.open(server.url)
	until[bool](page, `document.querySelector("#attempt").options.length > 0`)
	wantFits("the page before the login")
	logIn(page, server, "token")
	openSocket(page, "good")
	until[bool](page, socketOpen)
	until[bool](page, sessionCount+" === 1")
	wantFits("the page with an open socket")
	page.click("#stepup-button")
	page.text("#stepup-title")
	wantFits("the dialog")
	page.click("#stepup-cancel")
	page.click("#everywhere-button")
	wantEnd(page, "3000", "session_ended", "The session has ended")
	wantFits("the page after the end")
}

// faint is an expression for the visible texts whose contrast is below 4.5 to 1
// (WCAG 2, success criterion 1.4.3). It makes no exceptions for large text and
// disabled controls.
const faint = `(() => {
	const numbers = (color) => {
		if (!/^rgba?\(/.test(color)) throw new Error("a color that this cannot read: " + color);
		const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
		return {rgb: [r, g, b], a};
	};
	const over = (top, rgb, a = top.a) => top.rgb.map((c, i) => a * c + (1 - a) * rgb[i]);
	const above = (e) => (e ? [e, ...above(e.parentElement)] : []);
	const ground = (e) => above(e).reverse().reduce((rgb, e) => over(numbers(getComputedStyle(e).backgroundColor), rgb), [255, 255, 255]);
	const opacity = (e) => above(e).reduce((all, e) => all * getComputedStyle(e).opacity, 1);
	const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const contrast = (e, style) => {
		const below = ground(e);
		const text = numbers(style.color);
		const [dark, bright] = [light(below), light(over(text, below, text.a * opacity(e) * style.opacity / getComputedStyle(e).opacity))].sort((a, b) => a - b);
		return (bright + 0.05) / (dark + 0.05);
	};
	const seen = [...document.body.querySelectorAll("*")].filter((e) => e.checkVisibility() && !e.matches(".sr, .skip, noscript, option"));
	const texts = seen.flatMap((e) => [
		[e, getComputedStyle(e), e.matches("input, select, textarea") ? e.value : [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("").trim()],
		[e, getComputedStyle(e, "::placeholder"), e.placeholder && !e.value ? e.placeholder : ""],
		[e, getComputedStyle(e, "::before"), e.matches(".messages:empty") ? "Messages appear here." : ""],
	]).filter(([, , text]) => text);
	if (texts.length < 10) throw new Error("only " + texts.length + " texts");
	return texts.map(([e, style, text]) => [contrast(e, style), text]).filter(([c]) => c < 4.5).map(([c, text]) => c.toFixed(2) + ": " + text);
})()`

// TestPageIsReadable checks that all texts of the page have enough contrast, in
// light and in dark mode.
func TestPageIsReadable(t *testing.T) {
	server := startServer(t)
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			page := newTab(t)
			page.setColorScheme(scheme)
			wantReadable := func(what string) {
				t.Helper()
				for _, text := range run[[]string](page, faint) {
					t.Errorf("%s: %s", what, text)
				}
			}
			page.open(server.url)
			page.set("#password", "wrong")
			page.click("#login-button")
			page.text("#login-error")
			wantReadable("a login that was refused")

			logIn(page, server, "cookie")
			page.click("#session-button")
			page.text("#session-note")
			openSocket(page, "good")
			until[bool](page, socketOpen)
			page.set("#message", "Hello")
			page.click("#send-button")
			until[string](page, `document.querySelector("#messages li:not(.system, .sent)")?.textContent`)
			until[bool](page, `document.querySelectorAll("#sessions .sockets.open").length === 1`)
			wantReadable("an open socket")
			page.click("#stepup-button")
			page.text("#stepup-title")
			wantReadable("the dialog")
			page.click("#stepup-cancel")
			page.click("#close-button")
			wantEnd(page, "1000", "done", "Closed normally")
			wantReadable("a calm end")
			openSocket(page, "tampered")
			wantEnd(page, "3003", "csrf_mismatch", "CSRF")
			wantReadable("a refused socket")
			page.click("#everywhere-button")
			until[bool](page, loginForm)
			wantReadable("a login that is over")

			page.open(server.url + "/docs")
			page.click("#login summary")
			page.click("#login form button")
			page.text("#login .result-head b")
			page.click("#socket summary")
			wantReadable("the API page")
		})
	}
}
