package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// startAPI starts the server behind the gateway. It echoes messages at /ws. At
// other paths, it responds with the method, the path and the user.
func startAPI(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			w.Header().Set("Access-Control-Allow-Origin", "https://elsewhere.example") // the gateway replaces this field
			fmt.Fprintf(w, "%s %s by %s", r.Method, r.URL.Path, r.Header.Get("X-User"))
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		message := []byte("hello " + r.Header.Get("X-User"))
		for err == nil {
			if err = conn.Write(r.Context(), websocket.MessageText, message); err == nil {
				_, message, err = conn.Read(r.Context())
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// startForPages starts a gateway that lets pages of one origin read responses.
func startForPages(t *testing.T, origin string, credentials bool) *program {
	t.Helper()
	file := strings.NewReplacer("API", startAPI(t), "ORIGIN", origin, "CREDENTIALS", strconv.FormatBool(credentials)).Replace(`
users: users.txt
origins: [ORIGIN]
auth:
  cors: {origins: ['ORIGIN'], credentials: CREDENTIALS}
routes:
  - path: /ws
    upstream: API
  - path: /api/
    upstream: API
    cors: {origins: ['ORIGIN'], credentials: CREDENTIALS, methods: [GET, POST, PUT]}
  - path: /closed
    upstream: API
`)
	return startGateway(t, file)
}

// An answer is the part of a response that a page can read. Status is 0 if the
// browser blocks the response.
type answer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// fetch sends a request from the page.
func (b *tab) fetch(url, init string) answer {
	b.t.Helper()
	return run[answer](b, fmt.Sprintf(`fetch(%s, %s).then(async (r) => ({status: r.status, body: await r.text()}), (e) => ({status: 0, body: e.name}))`, strconv.Quote(url), init))
}

// isolated is the answer that a page gets if it may not read the response.
var isolated = answer{Body: "TypeError"}

// TestPageOfAnotherOrigin checks pages of other origins. A page of the allowed
// origin loads the module from the gateway, logs in and opens a socket. On the
// routes that allow its origin, it can read responses, refusals included. A
// page of a third origin can read only the published keys.
func TestPageOfAnotherOrigin(t *testing.T) {
	needBrowser(t)
	site, third := otherSite(t), otherSite(t)
	site = strings.Replace(site, "127.0.0.1", "localhost", 1) // also another site, so the browser sends no cookies
	server := startForPages(t, site, false)
	page := newTab(t)
	page.open(site)
	run[bool](page, fmt.Sprintf(`(async () => {
		const gateway = %s;
		const { connect, Session } = await import(gateway + "/auth/client/wsauth.js");
		window.session = new Session({ base: gateway + "/auth" });
		window.heard = [];
		await session.login("ada", "long-test-password");
		window.socket = connect(gateway.replace("http", "ws") + "/ws", session);
		socket.addEventListener("message", (event) => heard.push(event.data));
		return true;
	})()`, strconv.Quote(server.url)))
	until[bool](page, `heard.includes("hello ada")`)
	run[bool](page, `(socket.send("one"), true)`)
	until[bool](page, `heard.includes("one")`)

	login := run[tokens](page, fmt.Sprintf(`fetch(%s + "/auth/login", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({username: "ada", password: "long-test-password"})}).then((r) => r.json())`, strconv.Quote(server.url)))
	with := func(method, more string) string {
		return fmt.Sprintf(`{method: %q, headers: {Authorization: "Bearer " + %q%s}}`, method, login.Access, more)
	}
	for _, c := range []struct {
		path, init string
		want       answer
	}{
		{"/api/x", with("GET", ""), answer{200, "GET /api/x by ada"}},
		{"/api/x", with("PUT", `, "Content-Type": "application/json"`), answer{200, "PUT /api/x by ada"}},
		{"/api/x", with("DELETE", ""), isolated},                    // the method is not listed
		{"/api/x", with("GET", `, "X-Other": "1"`), isolated},       // the header is not listed
		{"/api/x", `{credentials: "include"}`, isolated},            // credentials are not allowed
		{"/closed", with("GET", ""), isolated},                      // the route has no cors
		{"/auth/login", `{}`, answer{Status: 405}},                  // a refusal
		{"/auth/session", with("GET", ""), answer{Status: 200}},     // the claims
		{"/auth/session", with("GET", `, "X-Other": ""`), isolated}, // the headers of these endpoints are fixed
		{"/.well-known/jwks.json", `{}`, answer{Status: 200}},
	} {
		got := page.fetch(server.url+c.path, c.init)
		if c.want.Body == "" {
			got.Body = ""
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s:\n%s", c.path, c.init, diff)
		}
	}
	for path, reason := range map[string]string{"/api/x": "token_missing", "/auth/session": "token_missing", "/api/a%252fb": "invalid_request"} {
		if got := page.fetch(server.url+path, `{}`); got.Status/100 != 4 || !strings.Contains(got.Body, reason) {
			t.Errorf("%s: the page reads %+v, want %s", path, got, reason)
		}
	}

	page = newTab(t)
	page.open(third)
	for path, init := range map[string]string{
		"/api/x": with("GET", ""), "/auth/session": with("GET", ""), "/auth/client/wsauth.js": `{}`,
		"/auth/login": `{method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}`,
	} {
		if got := page.fetch(server.url+path, init); got != isolated {
			t.Errorf("a third origin reads %+v of %s", got, path)
		}
	}
	if got := page.fetch(server.url+"/.well-known/jwks.json", `{}`); got.Status != 200 || !strings.HasPrefix(got.Body, `{"keys":[`) {
		t.Errorf("a third origin reads %+v in the place of the published keys", got)
	}
	if got := page.dial(strings.Replace(server.url, "http", "ws", 1) + "/ws"); got.Opened || got.Code != 1006 {
		t.Errorf("a third origin gets a socket: %+v", got)
	}
}

// TestPageOfAnotherOriginWithCookies checks that with credentials, a page of
// another origin of the same site can use the cookies of its login. Without the
// CSRF value, its requests change nothing.
func TestPageOfAnotherOriginWithCookies(t *testing.T) {
	needBrowser(t)
	site := otherSite(t)
	server := startForPages(t, site, true)
	page := newTab(t)
	page.open(site)
	run[bool](page, fmt.Sprintf(`(async () => {
		const gateway = %s;
		const { connect, Session } = await import(gateway + "/auth/client/wsauth.js");
		window.heard = [];
		window.session = new Session({ base: gateway + "/auth", cookies: true });
		await session.login("ada", "long-test-password");
		await session.refresh();
		window.socket = connect(gateway.replace("http", "ws") + "/ws", session);
		socket.addEventListener("message", (event) => heard.push(event.data));
		return true;
	})()`, strconv.Quote(server.url)))
	until[bool](page, `heard.includes("hello ada")`)

	// The CSRF value is a claim of the signed token.
	csrf := run[string](page, fmt.Sprintf(`fetch(%s + "/auth/session", {credentials: "include"}).then((r) => r.json()).then((claims) => claims.csrf)`, strconv.Quote(server.url)))
	for _, c := range []struct {
		path, init, want string
		status           int
	}{
		{"/api/x", `{credentials: "include"}`, "GET /api/x by ada", 200},
		{"/api/x", `{}`, "token_missing", 401},
		{"/api/x", `{method: "POST", credentials: "include"}`, "csrf_mismatch", 403},
		{"/api/x", fmt.Sprintf(`{method: "POST", credentials: "include", headers: {"X-CSRF-Token": %q}}`, csrf), "POST /api/x by ada", 200},
		{"/auth/logout", `{method: "POST", credentials: "include"}`, "csrf_mismatch", 403},
	} {
		if got := page.fetch(server.url+c.path, c.init); got.Status != c.status || !strings.Contains(got.Body, c.want) {
			t.Errorf("%s %s: the page reads %+v, want %d %s", c.path, c.init, got, c.status, c.want)
		}
	}
	if got := page.fetch(server.url+"/closed", `{credentials: "include"}`); got != isolated {
		t.Errorf("/closed: %+v", got)
	}
	run[bool](page, `session.logout().then(() => true)`)
	if got := page.fetch(server.url+"/api/x", `{credentials: "include"}`); got.Status != 401 {
		t.Errorf("after the logout: %+v", got)
	}
}
