package gateway

import (
	"net/http"
	"strings"
	"testing"

	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/proxy"
	"wsauth/login"
)

// TestAuthPrefix checks that the whole login is served below another prefix,
// and that the default prefix then belongs to the upstream.
func TestAuthPrefix(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.Login.Prefix = "/gw/login"
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}, {Path: "/ws", Upstreams: []string{b.URL}}}
	})
	first, refresh := r.Renewed(r.Call("POST", "/gw/login/login", `{"username":"test","password":"test"}`, jsonType))
	access, _ := r.Renewed(r.Call("POST", "/gw/login/refresh", "", bearer(refresh)))
	if access == first {
		t.Error("the refresh has renewed nothing")
	}
	e := r.Call("POST", "/gw/login/ticket", `{"path":"/ws"}`, jsonType, bearer(access))
	if e.StatusCode != http.StatusOK {
		t.Fatalf("ticket: %d %s", e.StatusCode, e.Text)
	}
	conn, _, err := r.DialPath("/ws?ticket="+e.Decode(t)["ticket"].(string), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.WantEcho(conn, "hello")

	for _, name := range []string{"login", "refresh", "ticket", "logout"} {
		e := r.callUnchanged("POST /auth/"+name+" HTTP/1.1", "Content-Length: 0", "Connection: close", bearer(access))
		if e.StatusCode != http.StatusOK || e.Text != "POST /auth/"+name+" user=" {
			t.Errorf("/auth/%s: %d %s", name, e.StatusCode, e.Text)
		}
	}
	r.WantEcho(conn, "it is still open")

	if e := r.Call("POST", "/gw/login/logout", "", bearer(access)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", e.StatusCode, e.Text)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.Call("GET", "/gw/login/session", "", bearer(access)).WantEnded(t)
}

// TestAuthPrefixIsChecked checks that no other address of the gateway can be
// the prefix.
func TestAuthPrefixIsChecked(t *testing.T) {
	for prefix, good := range map[string]bool{
		"/gw/login": true, "/.well-known/login": true, "/livez/auth": true,
		"/livez": false, "/readyz": false, discovery.KeysPath: false, discovery.MetadataPath: false, "/auth/": false,
	} {
		_, err := Config{Login: login.Config{Prefix: prefix}}.Check()
		if strings.Contains(err.Error(), "Login.Prefix") == good {
			t.Errorf("%s: got %v, want it accepted: %t", prefix, err, good)
		}
	}
}
