package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"wsauth/internal/testenv"
)

// otherName resolves to this machine, but browsers do not treat it as local.
// Over plain HTTP, a page at this name is not in a secure context.
const otherName = "wsauth.example"

// stopBrowser stops the browser, if it runs.
var stopBrowser = func() {}

// browser starts the browser that this package shares, with the flags of an
// ordinary browser without a screen.
var browser = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.Headless,
		chromedp.NoSandbox, // not possible for root
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP "+otherName+" 127.0.0.1"),
		chromedp.UserDataDir(filepath.Join(scratch, "profile")),
	)
	ctx, _ = chromedp.NewContext(ctx)
	stopBrowser = func() {
		bounded, done := context.WithTimeout(ctx, patience)
		defer done()
		_ = chromedp.Cancel(bounded) // kills the browser if it still runs
		cancel()
	}
	return ctx, chromedp.Do(ctx)
})

// needBrowser skips the test if there is no browser.
func needBrowser(t *testing.T) context.Context {
	t.Helper()
	ctx, err := browser()
	if errors.Is(err, exec.ErrNotFound) {
		testenv.Skip(t, err.Error())
	} else if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// A tab is one tab of the browser. Tabs share cookies only if newWindow opened
// one from the other.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// newTab opens a tab, and closes it when the test ends. The test fails if a
// page throws an uncaught exception or violates its Content-Security-Policy.
func newTab(t *testing.T) *tab {
	t.Helper()
	return startTab(needBrowser(t), t, chromedp.WithNewBrowserContext())
}

// newWindow opens another tab with the cookies of this one.
func (b *tab) newWindow() *tab {
	b.t.Helper()
	return startTab(b.ctx, b.t)
}

func startTab(parent context.Context, t *testing.T, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, append(options,
		chromedp.WithListener(func(ev any) {
			switch ev := ev.(type) {
			case *runtime.EventExceptionThrown:
				t.Errorf("the page threw: %s", ev.ExceptionDetails.Text)
			case *cdplog.EventEntryAdded:
				if ev.Entry.Source == cdplog.EntrySourceSecurity {
					t.Errorf("the page broke its policy: %s", ev.Entry.Text)
				}
			}
		}))...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &tab{t, ctx}
}

// do runs steps. It fails the test if they take longer than patience.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open navigates to an address.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// prepare makes script run in each page that the tab opens from now on, before
// the page's own scripts.
func (b *tab) prepare(script string) {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return chromedp.Void{}, err
	})
}

// setColorScheme sets the preferred color scheme, light or dark, and turns off
// animations, so that colors have their final values at once.
func (b *tab) setColorScheme(scheme string) {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return chromedp.Void{}, err
	})
}

// click waits until the element of a CSS selector is visible, and clicks it.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), visible))
}

var visible = chromedp.QueryOption(chromedp.NodeVisible)

// fill replaces the text of a field, key by key.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.set(selector, "")
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text, visible))
}

// set sets the value of a field at once, as pasting and choosing do.
func (b *tab) set(selector, value string) {
	b.t.Helper()
	assign := fmt.Sprintf("document.querySelector(%s).value = %s", strconv.Quote(selector), strconv.Quote(value))
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void](assign))
}

// text waits until an element is visible, and returns its visible text.
func (b *tab) text(selector string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector), visible))
	if err != nil {
		b.t.Fatalf("%s: %v", selector, err)
	}
	return text
}

// run evaluates an expression in the page, and awaits a promise.
func run[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is truthy, and returns its value. It does not
// use chromedp.Poll, which compiles a string in the page: a page's
// Content-Security-Policy forbids that.
func until[T any](b *tab, expression string) T {
	b.t.Helper()
	return run[T](b, fmt.Sprintf(`new Promise((done, fail) => {
		const look = () => { const v = (%s); v ? done(v) : performance.now() < late ? setTimeout(look, 20) : fail(%s) };
		const late = performance.now() + %d;
		look();
	})`, expression, strconv.Quote("never: "+expression), patience.Milliseconds()))
}

// An end describes the end of a socket as its page observes it: the close
// event, and the messages before it.
type end struct {
	Code     int      `json:"code"`
	Reason   string   `json:"reason"`
	Opened   bool     `json:"opened"`
	Messages []string `json:"messages"`
}

// dial opens a socket from the page and waits for its end.
func (b *tab) dial(url string) end {
	b.t.Helper()
	return run[end](b, fmt.Sprintf(`new Promise((done) => {
		const seen = {opened: false, messages: []};
		const socket = new WebSocket(%s);
		socket.onopen = () => { seen.opened = true };
		socket.onmessage = (event) => seen.messages.push(event.data);
		socket.onclose = (event) => done({...seen, code: event.code, reason: event.reason});
	})`, strconv.Quote(url)))
}

// watchSockets makes the page record the address and the end of each socket
// that it opens from now on. sockets and lastEnd read the record.
func (b *tab) watchSockets() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`window.sockets = [];
	window.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			window.sockets.push(String(args[0]));
			const seen = {opened: false, messages: []};
			this.addEventListener("open", () => { seen.opened = true });
			this.addEventListener("message", (event) => seen.messages.push(event.data));
			this.addEventListener("close", (event) => { window.lastEnd = {...seen, code: event.code, reason: event.reason} });
		}
	}`))
}

// lastEnd waits for the end of a socket that the page opened after
// watchSockets.
func (b *tab) lastEnd() end {
	b.t.Helper()
	return until[end](b, "window.lastEnd")
}

// sockets returns the addresses of the sockets that the page opened after
// watchSockets.
func (b *tab) sockets() []string {
	b.t.Helper()
	return run[[]string](b, "window.sockets")
}

// requests returns the paths below /auth/ that the page has requested, in
// order.
func (b *tab) requests() []string {
	b.t.Helper()
	return run[[]string](b, `performance.getEntriesByType("resource").map((e) => new URL(e.name).pathname).filter((p) => p.startsWith("/auth/"))`)
}

// count returns how often path was requested.
func (b *tab) count(path string) int {
	b.t.Helper()
	n := 0
	for _, p := range b.requests() {
		if p == path {
			n++
		}
	}
	return n
}
