package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

// TestTicketOpensOneSocket checks that a ticket opens one socket, which belongs
// to the session (L9).
func TestTicketOpensOneSocket(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	e := r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access), "Origin: "+r.URL)
	v := e.Decode(t)
	if e.StatusCode != http.StatusOK || v["expires_in"] != float64(30) || v["sub"] != "test" || e.Header.Get("Cache-Control") != "no-store" || len(v["ticket"].(string)) < 22 {
		t.Fatalf("got %d %s %v", e.StatusCode, e.Text, e.Header)
	}
	conn := r.Open("?ticket=" + v["ticket"].(string))
	r.wantIdentity(conn, "welcome")
	r.WantClose(r.Open("?ticket="+v["ticket"].(string)), 3000, "token_invalid")

	// The socket belongs to the session: it is renewed and ends with it.
	if e := r.Call("POST", "/auth/logout", "", bearer(access)); e.StatusCode != http.StatusNoContent {
		t.Fatal(e.StatusCode)
	}
	r.WantClose(conn, 3000, "session_ended")
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
		access, _ := r.Login()
		e := r.Call("POST", "/auth/ticket", `{"path":"`+c.path+`"}`, jsonType, bearer(access))
		socket, _ := e.Decode(t)["socket"].(map[string]any)
		if left, _ := socket["expires_in"].(float64); socket["welcome"] != c.welcome || left < 800 || left > 900 {
			t.Errorf("%s, %d routes: %s", c.path, len(c.routes), e.Text)
		}
	}
}

// TestTicketRefusesBadBodies checks that invalid requests for a ticket are
// refused, and the detail of the refusal.
func TestTicketRefusesBadBodies(t *testing.T) {
	r := start(t)
	access, refresh := r.Login()
	for body, want := range map[string]string{
		`{}`:                   "path is required",
		`{"path":null}`:        "path is required",
		`{"path":""}`:          "path is required",
		`{"path":"ws"}`:        "path is required",
		`{"path":1}`:           "path must be a string",
		`{"path":"/ws","x":1}`: "not known",
		`{"path":"/` + strings.Repeat("a", 2048) + `"}`: "2048 bytes",
	} {
		r.Call("POST", "/auth/ticket", body, jsonType, bearer(access)).WantProblem(t, 422, "invalid_request", want)
	}
	r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, "Content-Type: text/plain", bearer(access)).WantProblem(t, 415, "invalid_request", "")
	r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(refresh)).WantProblem(t, 403, "wrong_token_type", "")
	r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType).WantProblem(t, 401, "token_missing", "")
}

// TestTicketsByDefault checks that by default a page gets as many tickets as it
// may have sockets, and another one soon.
func TestTicketsByDefault(t *testing.T) {
	for _, c := range []struct{ sockets, burst, want, rate int }{
		{0, 0, 100, 2}, {-1, 0, 100, 2}, {50, 0, 100, 2}, {130, 0, 130, 2}, {130, 3, 3, 2}, {0, 3, 3, 10},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			access, _ := r.Login()
			for range c.want {
				r.Ticket(access)
			}
			e := r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access))
			e.WantProblem(t, 429, "rate_limited", "Too many tickets")
			if e.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", e.Header.Get("Retry-After"))
			}
			time.Sleep(time.Second)
			for range min(c.rate, c.want) {
				r.Ticket(access)
			}
			r.Call("POST", "/auth/ticket", `{"path":"/ws"}`, jsonType, bearer(access)).WantProblem(t, 429, "rate_limited", "")
		}, func(config *Config) {
			config.Limits.PerSubject, config.Login.TicketBurst = c.sockets, c.burst
			if c.rate != 2 {
				config.Login.TicketRate = c.rate
			}
		})
	}
}
