package gateway

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
)

func TestServeDrains(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	conn := r.Open("", bearer(access))
	if _, err := r.Read(conn); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.WantClose(conn, 1012, "restarting")
	if err := <-r.served; err != nil {
		t.Fatalf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://")); err == nil {
		c.Close()
		t.Error("the listener still accepts connections")
	}
}

// TestProcsStay checks that a gateway with event loops does not change
// GOMAXPROCS, which belongs to the program.
func TestProcsStay(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	r := serveBehind(t, newBackend(t))
	during := runtime.GOMAXPROCS(0)
	r.stop()
	if err := <-r.served; err != nil {
		t.Error(err)
	}
	if after := runtime.GOMAXPROCS(0); during != before || after != before {
		t.Errorf("GOMAXPROCS was %d, with a gateway it is %d, after that %d", before, during, after)
	}
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	r := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := r.g.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, want that the listener is closed", err)
	}
}

func TestEveryAnswerIsStrict(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/", "/docs", "/openapi.json", "/assets/app.js", "/assets/none", "/nowhere", "/auth/session", "/ws"} {
		e := r.Call("GET", path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
		} {
			if got := e.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/nowhere", "/auth", "/auth/", "/auth/login/x", "/docs/", "/assets/", "/assets/a/b", "/ws/x"} {
		r.Call("GET", path, "").WantProblem(t, 404, "", "nothing at this address")
	}
	for _, path := range []string{"/assets/none.js", "/assets/..%2fserver.go", "/assets/%2e%2e", "/assets/../server.go", "/assets/../docs"} { // R13
		r.Call("GET", path, "").WantProblem(t, 404, "", "There is no")
	}
	for _, tt := range []struct{ method, path, allow string }{
		{"GET", "/auth/login", "POST"},
		{"DELETE", "/auth/refresh", "POST"},
		{"HEAD", "/auth/logout", "POST"},
		{"POST", "/auth/session", "GET, HEAD"},
		{"POST", "/auth/sessions", "GET, HEAD"},
		{"GET", "/auth/sessions/x", "DELETE"},
		{"PUT", "/", "GET, HEAD"},
		{"POST", "/assets/app.js", "GET, HEAD"},
		{"POST", "/ws", "GET, HEAD"},
		{"TRACE", "/", "GET, HEAD, POST, DELETE"}, // R14
	} {
		e := r.Call(tt.method, tt.path, "")
		if e.StatusCode != http.StatusMethodNotAllowed || e.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q; want 405, %q", tt.method, tt.path, e.StatusCode, e.Header.Get("Allow"), tt.allow)
		}
		if tt.method != "HEAD" && !strings.Contains(e.Text, "method_not_allowed") {
			t.Errorf("%s %s: body %q", tt.method, tt.path, e.Text)
		}
	}
}

// TestMethodsAreTokens checks that an invalid method, which HTTP/2 lets a
// client send, is an error of the client and not of the upstream.
func TestMethodsAreTokens(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}} })
	for _, method := range []string{"GET ", " GET", "GE\tT", "GÉT", "GET\r\nX: y", "G,T", "\x00"} {
		req := httptest.NewRequest(http.MethodGet, "/x", nil)
		req.Method = method
		w := httptest.NewRecorder()
		r.g.ServeHTTP(w, req)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "not a token") {
			t.Errorf("%q: got %d %s", method, w.Code, w.Body)
		}
	}
	for _, method := range []string{"PURGE", "get", "M-SEARCH", "X!#$%&'*+.^_`|~"} {
		if e := r.callUnchanged(method+" /x HTTP/1.1", "Host: app.example", "Connection: close"); e.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d, want %v", method, e.StatusCode, http.StatusOK)
		}
	}
	if n := b.count(); n != 4 {
		t.Errorf("the backend has %d requests", n)
	}
}

// raw sends bytes and returns the status of the answer. The server may answer
// and disconnect before it has read everything.
func (r *rig) raw(request string) int {
	r.T.Helper()
	conn := r.Connect()
	defer conn.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(conn, request)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.T.Fatal(err)
	}
	resp.Body.Close()
	conn.Close()
	<-written
	return resp.StatusCode
}

func TestAssetsAreCachedByContent(t *testing.T) {
	r := start(t)
	for path, contentType := range map[string]string{
		"/":                      "text/html; charset=utf-8",
		"/docs":                  "text/html; charset=utf-8",
		"/openapi.json":          "application/json",
		"/assets/app.js":         "text/javascript; charset=utf-8",
		"/assets/style.css":      "text/css; charset=utf-8",
		"/assets/icon.svg":       "image/svg+xml",
		"/auth/client/wsauth.js": "text/javascript; charset=utf-8",
	} {
		e := r.Call("GET", path, "")
		etag := e.Header.Get("ETag")
		if e.StatusCode != http.StatusOK || e.Text == "" || e.Header.Get("Content-Type") != contentType || etag == "" || e.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got %d %v", path, e.StatusCode, e.Header)
		}
		if again := r.Call("GET", path, "", "If-None-Match: "+etag); again.StatusCode != http.StatusNotModified || again.Text != "" {
			t.Errorf("%s again: %d", path, again.StatusCode)
		}
	}
}

// TestRefusedUpgradesCloseTheConnection checks that every refusal of a
// handshake closes the connection, so that what the client sends after it is
// not read as a request.
func TestRefusedUpgradesCloseTheConnection(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/chat", Upstreams: []string{newBackend(t).URL}}}
	})
	for _, tt := range []struct {
		target, host string
		status       int
	}{
		{"/chat", "a_b..example", http.StatusBadRequest},
		{"/nothing", "app.example", http.StatusNotFound},
		{"/chat%2f", "app.example", http.StatusBadRequest},
		{"/chat", "app.example", http.StatusUnauthorized},
		{"/auth/login", "app.example", http.StatusMethodNotAllowed},
		{"/auth/nothing", "app.example", http.StatusNotFound},
	} {
		e := r.callUnchanged("GET "+tt.target+" HTTP/1.1", append(upgradeLines, "Host: "+tt.host)...)
		if e.StatusCode != tt.status || !e.Close || !strings.HasPrefix(e.Header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s of %s: status %d, closes: %v, %s", tt.target, tt.host, e.StatusCode, e.Close, e.Header.Get("Content-Type"))
		}
	}
}

func TestRedirects(t *testing.T) {
	at := []string{"http://127.0.0.1:9000"}
	routes := []proxy.Route{
		{Path: "/", Upstreams: at, Public: true}, {Path: "/admin/", Upstreams: at}, {Path: "/ws", Upstreams: at}, {Path: "/both", Upstreams: at}, {Path: "/both/", Upstreams: at},
		{Path: "/pub/", Upstreams: at, Public: true}, {Path: "/pub/a", Upstreams: at}, {Host: "*.example", Path: "/h/", Upstreams: at}, {Path: "/admin/in/", Upstreams: at},
	}
	want := []proxy.Redirect{{From: "/admin", To: "/admin/"}, {From: "/ws/", To: "/ws"}, {From: "/pub/a/", To: "/pub/a"}, {From: "*.example/h", To: "*.example/h/"}, {From: "/admin/in", To: "/admin/in/"}}
	if got := proxy.Redirects(routes); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r := start(t, func(c *Config) { c.Routes = routes })
	for _, redirect := range want {
		host, path, _ := strings.Cut(redirect.From, "/")
		e := r.get("/"+path, "Host: "+cmp.Or(strings.ReplaceAll(host, "*", "b"), "x"))
		_, to, _ := strings.Cut(redirect.To, "/")
		if e.StatusCode != 307 || e.Header.Get("Location") != "/"+to {
			t.Errorf("%s: got %d %v", redirect.From, e.StatusCode, e.Header)
		}
	}
}
