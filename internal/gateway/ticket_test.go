package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

func TestTicketOpensOneSocket(t *testing.T) { // L9
	r := start(t)
	access, _ := r.login()
	e := r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access), "Origin: "+r.url)
	v := e.decode(t)
	if e.StatusCode != http.StatusOK || v["expires_in"] != float64(30) || v["sub"] != "test" || e.Header.Get("Cache-Control") != "no-store" || len(v["ticket"].(string)) < 22 {
		t.Fatalf("%d %s %v", e.StatusCode, e.body, e.Header)
	}
	conn := r.open("?ticket=" + v["ticket"].(string))
	r.wantIdentity(conn, "welcome")
	r.wantClose(r.open("?ticket="+v["ticket"].(string)), 3000, "token_invalid")

	// The socket belongs to the session: it is renewed and ends with it.
	if e := r.call("POST", "/auth/logout", "", bearer(access)); e.StatusCode != http.StatusNoContent {
		t.Fatal(e.StatusCode)
	}
	r.wantClose(conn, 3000, "session_ended")
}

// TestTicketDescribesItsSocket checks that the answer tells the browser module
// when to renew the socket, and whether to wait for a welcome, which servers
// behind routes do not send.
func TestTicketDescribesItsSocket(t *testing.T) {
	for _, c := range []struct {
		path    string
		routes  []proxy.Route
		welcome bool
	}{
		{"/ws", nil, true},
		{"/ws/", nil, false},
		{"/other", nil, false},
		{"/ws", []proxy.Route{{Path: "/", Upstreams: []string{"http://127.0.0.1:1"}}}, false},
	} {
		r := start(t, func(g *Config) { g.Routes = c.routes })
		access, _ := r.login()
		e := r.call("POST", "/auth/ticket", `{"path":"`+c.path+`"}`, jsonType, bearer(access))
		socket, _ := e.decode(t)["socket"].(map[string]any)
		if left, _ := socket["expires_in"].(float64); socket["welcome"] != c.welcome || left < 800 || left > 900 {
			t.Errorf("%s, %d routes: %s", c.path, len(c.routes), e.body)
		}
	}
}

func TestTicketRefusesBadBodies(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	for body, want := range map[string]string{
		`{}`:                   "path is required",
		`{"path":null}`:        "path is required",
		`{"path":""}`:          "path is required",
		`{"path":"ws"}`:        "path is required",
		`{"path":1}`:           "path must be a string",
		`{"path":"/ws","x":1}`: "not known",
		`{"path":"/` + strings.Repeat("a", 2048) + `"}`: "2048 bytes",
	} {
		wantProblem(t, r.call("POST", "/auth/ticket", body, jsonType, bearer(access)), 422, "invalid_request", want)
	}
	wantProblem(t, r.call("POST", "/auth/ticket", `{"path":"/ws"}`, "Content-Type: text/plain", bearer(access)), 415, "invalid_request", "")
	wantProblem(t, r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(refresh)), 403, "wrong_token_type", "")
	wantProblem(t, r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType), 401, "token_missing", "")
}

// TestTicketsByDefault checks that by default a page gets as many tickets as it
// may have sockets, and another one soon.
func TestTicketsByDefault(t *testing.T) {
	for _, c := range []struct{ sockets, burst, want, rate int }{
		{0, 0, 100, 2}, {-1, 0, 100, 2}, {50, 0, 100, 2}, {130, 0, 130, 2}, {130, 3, 3, 2}, {0, 3, 3, 10},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			access, _ := r.login()
			for range c.want {
				r.ticket(access)
			}
			e := r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access))
			wantProblem(t, e, 429, "rate_limited", "Too many tickets")
			if e.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", e.Header.Get("Retry-After"))
			}
			time.Sleep(time.Second)
			for range min(c.rate, c.want) {
				r.ticket(access)
			}
			wantProblem(t, r.call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access)), 429, "rate_limited", "")
		}, func(config *Config) {
			config.Limits.PerSubject, config.Login.TicketBurst = c.sockets, c.burst
			if c.rate != 2 {
				config.Login.TicketRate = c.rate
			}
		})
	}
}
