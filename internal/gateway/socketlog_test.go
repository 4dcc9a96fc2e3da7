package gateway

import (
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// linesWith returns the log lines that contain a text.
func (r *rig) linesWith(text string) (all []string) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, text) {
			all = append(all, line)
		}
	}
	return all
}

// TestSocketLinesNameTheRoute checks that log lines of a socket name its user,
// session and route, whether an event loop or net/http has read the handshake.
func TestSocketLinesNameTheRoute(t *testing.T) {
	b := newBackend(t)
	routes := func(c *Config) {
		c.AccessLog = true
		c.Routes = []proxy.Route{
			{Path: "/chat/", Upstreams: []string{b.URL}},
			{Path: "/first/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}},
			{Path: "/public/", Upstreams: []string{b.URL}, Public: true, Sockets: true},
		}
	}
	entries := map[string]func(t *testing.T) (*rig, func(path string, lines ...string) *websocket.Conn){
		"plain": func(t *testing.T) (*rig, func(string, ...string) *websocket.Conn) {
			r := start(t, routes)
			return r, r.socket
		},
		"TLS": func(t *testing.T) (*rig, func(string, ...string) *websocket.Conn) {
			r, _ := overTLS(t, routes)
			return r, func(path string, lines ...string) *websocket.Conn {
				conn, _, err := r.dialTLS(path, lines...)
				if err != nil {
					t.Fatal(err)
				}
				return conn
			}
		},
	}
	for entry, startGateway := range entries {
		t.Run(entry, func(t *testing.T) {
			for path, route := range map[string]string{"/chat/x": "/chat/", "/first/x": "/first/", "/public/x": "/public/"} {
				r, dial := startGateway(t)
				access, _ := r.Login()
				sid, _ := r.Claims(access)["sid"].(string)
				identity := []string{" user=test ", " session=" + sid + " "}
				var conn *websocket.Conn
				opened := []string{`msg="socket opened"`}
				switch path {
				case "/chat/x":
					conn = dial(path, bearer(access))
				case "/first/x":
					conn = dial(path)
					r.Write(conn, `{"type":"auth","token":"`+access+`"}`)
					if _, err := r.Read(conn); err != nil {
						t.Fatal(err)
					}
					opened = []string{`msg="socket authenticated"`}
				case "/public/x":
					conn, identity = dial(path), nil
				}
				r.WantEcho(conn, "hello")
				_ = conn.CloseNow()
				for _, text := range append(opened, `msg="socket ended"`, "msg=socket ") {
					r.log.Wait(t, text, func(string) bool { return len(r.linesWith(text)) > 0 })
					all := r.linesWith(text)
					if len(all) != 1 {
						t.Errorf("%s: got %q, want one line", path, all)
					}
					for _, part := range append(identity, " route="+route+" ") {
						if !strings.Contains(strings.ReplaceAll(all[0], "\n", " "), part) {
							t.Errorf("%s: %q lacks %q", path, all[0], part)
						}
					}
				}
			}
		})
	}
}

// TestDemoSocketLines checks the same as TestSocketLinesNameTheRoute for the
// socket of the demonstration, and for a refused handshake.
func TestDemoSocketLines(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	sid, _ := r.Claims(access)["sid"].(string)
	conn := r.Open("?ticket=" + r.Ticket(access))
	if _, err := r.Read(conn); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseNow()
	if _, err := r.Read(r.Open("?ticket=none")); err == nil {
		t.Error("an invented ticket opens a socket")
	}
	for text, parts := range map[string][]string{
		`msg="socket opened"`: {" user=test ", " session=" + sid + " ", " route=/ws "},
		`msg="socket ended"`:  {" user=test ", " session=" + sid + " ", " route=/ws "},
		"msg=refused":         {" route=/ws "},
	} {
		r.log.Wait(t, text, func(string) bool { return len(r.linesWith(text)) > 0 })
		for _, part := range parts {
			if line := r.linesWith(text)[0]; !strings.Contains(strings.ReplaceAll(line, "\n", " "), part) {
				t.Errorf("%q lacks %q", line, part)
			}
		}
	}
}
