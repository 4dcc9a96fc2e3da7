package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsauth/internal/urlpath"
)

// roomsPage is a page that loads the client module and logs in. Tests evaluate
// expressions in it.
const roomsPage = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>rooms</title>
<script type="module">
const base = location.pathname.startsWith("/app/") ? "/app/auth" : "/auth";
const { connect, Session } = await import(base + "/client/wsauth.js");
window.session = new Session({ base });
await session.login("ada", "long-test-password");
window.connect = connect;
window.warnings = [];
console.warn = (...words) => warnings.push(words.join(" "));
// first opens a socket, and returns its first message or its last state.
window.first = (url, options) => new Promise((done) => {
	const socket = connect(url, session, options);
	socket.addEventListener("message", ({ data }) => {
		socket.close();
		done(data);
	});
	socket.addEventListener("state", ({ state, code, reason }) => {
		if (state === "waiting" || state === "stopped") {
			socket.close();
			done([state, code, reason].join(" "));
		}
	});
});
window.ready = true;
</script>`

// startRooms starts a gateway in front of a server whose sockets send their
// path as the first message, unless the path ends in /silent.
func startRooms(t *testing.T) *program {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, roomsPage)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		if !strings.HasSuffix(r.URL.Path, "/silent") {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(urlpath.Sent(r.URL)))
		}
		for err == nil {
			_, _, err = conn.Read(r.Context())
		}
	}))
	t.Cleanup(backend.Close)
	file := strings.ReplaceAll(`
users: users.txt
routes:
  - {path: /page, upstream: BACKEND, public: true}
  - {path: /, upstream: BACKEND, lenient_paths: true}
`, "BACKEND", backend.URL)
	needBrowser(t)
	return startGateway(t, file)
}

// TestClientPaths checks that a socket opens at every path, except those that
// the gateway refuses for every request. The ticket is for the path as the
// browser normalizes it.
func TestClientPaths(t *testing.T) {
	text, err := os.ReadFile("../internal/urlpath/testdata/paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Path, Canonical string
		NotInURL        bool
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	server := startRooms(t)
	page := newTab(t)
	page.open(server.url + "/page")
	until[bool](page, "window.ready === true")
	opened := 0
	for _, v := range vectors {
		if v.NotInURL {
			continue
		}
		got := run[string](page, fmt.Sprintf("first(%q)", v.Path))
		switch got {
		case v.Canonical:
			opened++
		case "stopped 3003 invalid_request": // escapes of escapes, control characters, bytes that are not UTF-8
		default:
			t.Errorf("%q: %s", v.Path, got)
		}
	}
	if opened < 40 {
		t.Errorf("%d of %d paths open a socket", opened, len(vectors))
	}
	long := "/" + strings.Repeat("日", 682)
	if got := run[string](page, fmt.Sprintf("first(%q)", long)); got != (&url.URL{Path: long}).EscapedPath() {
		t.Errorf("682 kanji: %s", got)
	}
	if got := run[string](page, fmt.Sprintf("first(%q)", long+"日")); !strings.HasPrefix(got, "stopped 3003") {
		t.Errorf("683 kanji: %s", got)
	}
	if got := run[[]string](page, "warnings"); len(got) > 0 {
		t.Errorf("the console warns: %q", got)
	}
}

// TestClientBelowAPrefix checks paths behind a proxy that serves the site below
// a prefix and strips it.
func TestClientBelowAPrefix(t *testing.T) {
	server := startRooms(t)
	at, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(at)
		r.Out.Host = r.In.Host
	}}
	front := httptest.NewServer(http.StripPrefix("/app", proxy))
	t.Cleanup(front.Close)
	page := newTab(t)
	page.open(front.URL + "/app/page")
	until[bool](page, "window.ready === true")
	if got := run[string](page, `first("/app/rooms/日本", { stripPrefix: "/app" })`); got != "/rooms/%E6%97%A5%E6%9C%AC" {
		t.Errorf("with stripPrefix: %s", got)
	}
	if got := run[string](page, `first("/app/rooms/7")`); !strings.HasPrefix(got, "waiting 1006") {
		t.Errorf("without the prefix: %s", got)
	}
	if got := run[string](page, `(() => { try { connect("/other/ws", session, { stripPrefix: "/app" }) } catch (e) { return e.name } })()`); got != "TypeError" {
		t.Errorf("a path outside the prefix: %q", got)
	}
}

// TestClientClosesAtOnce checks that a socket that is closed right after
// connect opens no connection. React's StrictMode causes this: it mounts a
// component, unmounts it and mounts it again.
func TestClientClosesAtOnce(t *testing.T) {
	server := startRooms(t)
	page := newTab(t)
	page.open(server.url + "/page")
	until[bool](page, "window.ready === true")
	page.watchSockets()
	dispatch(page, `
window.all = [connect("/silent", session)];
all[0].close();
all.push(connect("/silent", session));`)
	until[bool](page, `all[1].state === "open"`)
	if got := page.sockets(); len(got) != 1 {
		t.Errorf("the page opened %q", got)
	}
	dispatch(page, `window.ended = new Promise((done) => all[1].addEventListener("close", ({ code }) => done(code))); all[1].close()`)
	if got := run[int](page, "ended"); got != 1000 {
		t.Errorf("the connection ended with %d", got)
	}
	// A close during the handshake makes the browser abort it.
	dispatch(page, `
window.third = connect("/silent", session);
const born = WebSocket;
window.WebSocket = class extends born { constructor(...args) { super(...args); queueMicrotask(() => third.close()); window.native = this; } };`)
	until[bool](page, `window.native?.readyState === 3`)
	if got := run[string](page, "third.state"); got != "closed" {
		t.Errorf("the state is %q", got)
	}
}
