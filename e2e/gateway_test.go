package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// chatPage is a page of a server without authentication. It imports the client
// module from the gateway.
const chatPage = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>chat</title>
<script type="module">
import { connect, Session } from "/auth/client/wsauth.js";
window.session = new Session();
window.heard = [];
window.states = [];
window.start = async (password) => {
	await session.login("ada", password);
	window.socket = connect("/ws", session, { welcome: false });
	socket.addEventListener("message", (event) => heard.push(event.data));
	socket.addEventListener("close", (event) => heard.push(event.code + " " + event.reason));
	socket.addEventListener("renewed", () => heard.push("renewed"));
	socket.addEventListener("state", (event) => states.push(event.state));
};
</script>`

// startChat starts a server that serves chatPage. At /ws, it greets the user
// named in X-User and echoes messages.
func startChat(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, chatPage)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		message := []byte("hello " + r.Header.Get("X-User") + " of " + r.URL.RequestURI())
		for err == nil {
			if err = conn.Write(r.Context(), websocket.MessageText, message); err == nil {
				_, message, err = conn.Read(r.Context())
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestGatewayInABrowser checks the configuration of the README in front of a
// server without authentication. A page logs in, its socket outlives access
// tokens, and `wsauth revoke` closes it.
func TestGatewayInABrowser(t *testing.T) {
	backend := startChat(t)
	file := strings.ReplaceAll(`
users: users.txt
access_ttl: 6s
routes:
  - {path: /, upstream: BACKEND, public: true}
  - path: /ws
    upstream: BACKEND
    headers: {X-User: sub}
`, "BACKEND", backend)
	needBrowser(t)
	server := startGateway(t, file)
	page := newTab(t)
	page.open(server.url + "/")
	until[bool](page, "window.start !== undefined")
	if got := page.dial("/ws"); got.Opened || got.Code != 1006 {
		t.Errorf("without a login: %+v", got)
	}
	run[bool](page, `start("long-test-password").then(() => true)`)
	if got := until[string](page, "heard[0]"); got != "hello ada of /ws" {
		t.Errorf("the server has greeted with %q", got)
	}
	run[bool](page, `(socket.send("one"), true)`)
	until[bool](page, `heard.includes("one")`)
	until[bool](page, `heard.filter((h) => h === "renewed").length >= 2`) // each renewal is due after at most 80 % of 6 s
	run[bool](page, `(socket.send("two"), true)`)
	until[bool](page, `heard.includes("two")`)

	revoke := exec.Command(filepath.Join(scratch, "wsauth"), "revoke", "--user=ada", "--admin-socket", filepath.Join(dataOf(server), "admin.sock"))
	if out, err := revoke.CombinedOutput(); err != nil || !strings.Contains(string(out), "one session and one open socket ended") {
		t.Fatalf("got %v: %s", err, out)
	}
	until[bool](page, `states.includes("loggedout")`)
	heard := run[[]string](page, "heard")
	if !slices.Contains(heard, "3000 session_ended") || slices.Contains(heard, "3000 token_expired") {
		t.Errorf("the page has heard %q", heard)
	}
}

// dataOf returns the --data folder of a server.
func dataOf(p *program) string {
	i := slices.Index(p.cmd.Args, "--data")
	return p.cmd.Args[i+1]
}
