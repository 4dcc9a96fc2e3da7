package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
	"wsauth/internal/privatesock"
	"wsauth/token"
)

// An operator is a client of the admin API of a rig.
type operator struct{ logintest.Client }

// operator serves the admin API of r on a Unix socket until the test ends.
func (r *rig) operator() *operator {
	r.T.Helper()
	path := filepath.Join(shortDir(r.T), "admin.sock")
	l, err := privatesock.Listen(r.T.Context(), path)
	if err != nil {
		r.T.Fatal(err)
	}
	r.serveAdmin(l, admin.Config{Version: "v1"})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	transport := &http.Transport{DialContext: dial}
	r.T.Cleanup(transport.CloseIdleConnections)
	return &operator{logintest.New(r.T, "http://admin", transport)}
}

// shortDir returns a folder with a short path: names of Unix sockets are
// limited to about 100 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serveAdmin serves the API for operators on l until the test ends.
func (r *rig) serveAdmin(l net.Listener, c admin.Config) {
	r.T.Helper()
	api, err := r.g.Admin(c)
	if err != nil {
		r.T.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, l) }()
	r.T.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			r.T.Errorf("admin: %v", err)
		}
	})
}

// get sends a GET that must succeed, and decodes the answer.
func (o *operator) get(path string) map[string]any {
	o.T.Helper()
	e := o.Call("GET", path, "")
	if e.StatusCode != http.StatusOK || e.Header.Get("Cache-Control") != "no-store" {
		o.T.Fatalf("%s: got %d %s %v", path, e.StatusCode, e.Text, e.Header)
	}
	return e.Decode(o.T)
}

// revoke sends a revocation, and returns the answer.
func (o *operator) revoke(body string) map[string]any {
	o.T.Helper()
	e := o.Call("POST", "/v1/revoke", body, jsonType)
	if e.StatusCode != http.StatusOK {
		o.T.Fatalf("%s: got %d %s, want %v", body, e.StatusCode, e.Text, http.StatusOK)
	}
	return e.Decode(o.T)
}

// TestAdminRevokes checks that each target ends its sockets, with their tokens,
// and no others.
func TestAdminRevokes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   func(sub, sid, jti string) string
		ends   [4]bool // sockets of: ada's first session by its first and second token, her second session, bert
		reason string
		answer string
	}{
		{"token", func(_, _, jti string) string { return `{"token":"` + jti + `"}` }, [4]bool{true}, "token_revoked", `"target":"token","id":`},
		{"session", func(_, sid, _ string) string { return `{"session":"` + sid + `"}` }, [4]bool{true, true}, "session_ended", `"target":"session","id":`},
		{"user", func(sub, _, _ string) string { return `{"user":"` + sub + `"}` }, [4]bool{true, true, true}, "session_ended", `"target":"user","id":"ada","before":"2`},
		{"everything", func(string, string, string) string { return `{"everything":true}` }, [4]bool{true, true, true, true}, "session_ended", `"target":"everything","before":"2`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend(t)
			r := serveBehind(t, b, func(c *Config) { c.Login.Users = anyone })
			o := r.operator()
			first, refresh := r.LoginAs("ada")
			claims := r.Claims(first)
			conns := [4]*websocket.Conn{r.socket("/ws", bearer(first))}
			second, _ := r.LoginAs("ada")
			bert, _ := r.LoginAs("bert")
			issued, err := r.g.issuer.Access("ada", token.Options{SessionID: claims["sid"].(string)}) // as another node would, so this node renews no socket
			if err != nil {
				t.Fatal(err)
			}
			tokens := [4]string{first, issued.Raw, second, bert}
			for i := 1; i < 4; i++ {
				conns[i] = r.socket("/ws", bearer(tokens[i]))
			}
			for _, conn := range conns {
				r.WantEcho(conn, "I live")
			}
			e := o.Call("POST", "/v1/revoke", tt.body("ada", claims["sid"].(string), claims["jti"].(string)), jsonType)
			ended := 0
			for i, ends := range tt.ends {
				if ends {
					ended++
					r.WantClose(conns[i], 3000, tt.reason)
					r.Call("GET", "/auth/session", "", bearer(tokens[i])).WantEnded(t)
				} else {
					r.WantEcho(conns[i], "I live on")
					r.Claims(tokens[i])
				}
			}
			if e.StatusCode != 200 || !strings.Contains(e.Text, tt.answer) || !strings.Contains(e.Text, fmt.Sprintf(`"sockets":%d,"confirmed":true}`, ended)) {
				t.Errorf("%d %s, want %s and %d sockets", e.StatusCode, e.Text, tt.answer, ended)
			}
			if e := r.Call("POST", "/auth/refresh", "", bearer(refresh)); (e.StatusCode == 200) != (tt.name == "token") {
				t.Errorf("refresh: %d %s", e.StatusCode, e.Text)
			}
			if kept, err := r.g.Login().Sessions(t.Context(), "ada"); tt.name == "session" && len(kept) != 1 || tt.name == "user" && len(kept) != 0 || err != nil {
				t.Errorf("the sessions are %v, %v", kept, err)
			}
			again, _ := r.LoginAs("ada")
			r.Claims(again)
			r.log.WaitFor(t, `msg="admin: revoked" target=`+tt.name)
		})
	}
}

// TestAdminLists checks that the lists name the route and the upstream of a
// socket, and its client.
func TestAdminLists(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	o := r.operator()
	access, _ := r.Login()
	r.WantEcho(r.socket("/ws", bearer(access)), "I am tied to an upstream")
	claims := r.Claims(access)
	socket := o.get("/v1/sockets?user=test")["sockets"].([]any)[0].(map[string]any)
	if socket["jti"] != claims["jti"] || socket["sid"] != claims["sid"] || socket["route"] != "/" || socket["upstream"] != b.URL || socket["expires"] != claims["exp"] ||
		!strings.HasPrefix(socket["remote"].(string), "127.0.0.1:") {
		t.Errorf("the list has the socket %v, want that of %v", socket, claims)
	}
	if v := o.get("/v1/sessions/stored?user=test")["sessions"].([]any)[0].(map[string]any); v["sid"] != claims["sid"] || v["sockets"] != float64(1) || v["remote"] != "127.0.0.1" {
		t.Errorf("the list has the session %v, want that of %v", v, claims)
	}
}

// TestAdminStatus checks the routes in the status.
func TestAdminStatus(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, proxy.Route{Host: "a.example", Path: "/down", Upstreams: []string{"http://127.0.0.1:1", b.URL}, Public: true})
	})
	o := r.operator()
	r.get("/down", "Host: a.example") // marks the first upstream as unhealthy
	v := o.get("/v1/status")
	if v["version"] != "v1" || v["ready"] != true || v["uptime"].(float64) < 0 || v["started"].(float64) > float64(time.Now().Unix()) {
		t.Errorf("status %v, want version v1, ready and started", v)
	}
	want := []any{
		map[string]any{"path": "/", "public": false, "requirement": "access", "upstreams": []any{map[string]any{"address": b.URL, "healthy": true}}},
		map[string]any{"path": "/public/", "public": true, "upstreams": []any{map[string]any{"address": b.URL, "healthy": true}}},
		map[string]any{"host": "a.example", "path": "/down", "public": true, "upstreams": []any{
			map[string]any{"address": "http://127.0.0.1:1", "healthy": false}, map[string]any{"address": b.URL, "healthy": true},
		}},
	}
	if got := fmt.Sprint(v["routes"]); got != fmt.Sprint(want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}
	demo := start(t).operator().get("/v1/status")
	if got := fmt.Sprint(demo["routes"]); got != fmt.Sprint([]any{map[string]any{"path": "/ws", "public": false, "requirement": "access", "upstreams": []any{}}}) {
		t.Errorf("got %v", got)
	}
}

// TestAdminDrains checks that draining ends sockets like a shutdown, admits no
// new ones, and keeps serving plain requests.
func TestAdminDrains(t *testing.T) {
	r := start(t)
	o := r.operator()
	access, refresh := r.Login()
	conn := r.openEcho(access)
	if got := o.Call("POST", "/v1/drain", `{"within":5}`, jsonType); got.StatusCode != http.StatusOK || got.Text != `{"within":5,"sockets":1}` {
		t.Fatalf("got %d %s", got.StatusCode, got.Text)
	}
	r.WantClose(conn, 1012, "restarting")
	r.Call("GET", "/readyz", "").WantProblem(t, 503, "restarting", "restarting")
	if got := o.Call("GET", "/v1/status", ""); !strings.Contains(got.Text, `"ready":false,"reason":"restarting"`) {
		t.Error(got.Text)
	}
	if _, resp, err := r.Dial("", bearer(access)); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a new socket: %v", err)
	}
	access, _ = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	r.Claims(access)
}

// TestAdminIsNotPublic checks that the public cannot reach the operators'
// endpoints, with the demonstration and with routes, whatever the host and the
// path.
func TestAdminIsNotPublic(t *testing.T) {
	demo, routed := start(t), serveBehind(t, newBackend(t), func(c *Config) { c.Login.Users = anyone })
	for _, r := range []*rig{demo, routed} {
		r.operator()
		access, _ := r.LoginAs("test")
		conn := r.Open("", bearer(access))
		for _, path := range []string{"/v1/status", "/v1/sockets", "/auth/v1/status", "/admin/v1/status", "/v1/revoke"} {
			for _, host := range []string{"localhost", "admin"} {
				if e := r.get(path, "Host: "+host); e.StatusCode != 404 && e.StatusCode != 401 || strings.Contains(e.Text, "sockets") {
					t.Errorf("%s of %s: got %d %s, want 404 or 401", path, host, e.StatusCode, e.Text)
				}
			}
		}
		for _, path := range []string{"/v1/revoke", "/auth/v1/revoke"} {
			req, err := http.NewRequest("POST", r.URL+path, strings.NewReader(`{"everything":true}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := r.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 404 && resp.StatusCode != 401 && resp.StatusCode != 403 {
				t.Errorf("%s: got %d, want 401, 403 or 404", path, resp.StatusCode)
			}
		}
		r.Write(conn, "I live")
		for got := ""; got != "I live"; { // after the welcome of the demonstration
			var err error
			if got, err = r.Read(conn); err != nil {
				t.Fatal(err)
			}
		}
		r.Claims(access)
		if strings.Contains(r.log.String(), "admin:") {
			t.Errorf("the log has an error of the admin API: %s", r.log)
		}
	}
}
