package gateway

import (
	"net/http"
	"testing"
)

// TestAuthPrefix checks that the whole login is served below another prefix,
// and that the default prefix belongs to the upstream then.
func TestAuthPrefix(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.AuthPrefix = "/gw/login"
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}, {Path: "/ws", Upstreams: []string{b.URL}}}
	})
	first, refresh := r.renewed(r.call("POST", "/gw/login/login", `{"username":"test","password":"test"}`, jsonType))
	access, _ := r.renewed(r.call("POST", "/gw/login/refresh", "", bearer(refresh)))
	if access == first {
		t.Error("the refresh has renewed nothing")
	}
	e := r.call("POST", "/gw/login/ticket", `{"path":"/ws"}`, jsonType, bearer(access))
	if e.StatusCode != http.StatusOK {
		t.Fatalf("ticket: %d %s", e.StatusCode, e.body)
	}
	conn, _, err := r.trySocket("/ws?ticket="+e.decode(t)["ticket"].(string), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.echoOf(conn, "hello")

	for _, name := range []string{"login", "refresh", "ticket", "logout"} {
		e := r.exactly("POST /auth/"+name+" HTTP/1.1", "Content-Length: 0", "Connection: close", bearer(access))
		if e.StatusCode != http.StatusOK || e.body != "POST /auth/"+name+" user=" {
			t.Errorf("/auth/%s: %d %s", name, e.StatusCode, e.body)
		}
	}
	r.echoOf(conn, "it is still open")

	if e := r.call("POST", "/gw/login/logout", "", bearer(access)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", e.StatusCode, e.body)
	}
	r.wantClose(conn, 3000, "session_ended")
	wantDead(t, r.call("GET", "/gw/login/session", "", bearer(access)))
}

// TestAuthPrefixIsChecked: a prefix is a path that cookies can have, and none
// of the gateway's other addresses.
func TestAuthPrefixIsChecked(t *testing.T) {
	for _, good := range []string{"/auth", "/gw/login", "/a.b", "/.well-known/login", "/livez/auth", "/A~b_c-d"} {
		if err := checkPrefix(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "/", "auth", "/auth/", "/a//b", "/a/../b", "/a;b", "/a%20b", "/a b", "/ä", "/a,b", `/a"b`, "/a\x7f", "/livez", "/readyz", "/.well-known/jwks.json", "/.well-known/openid-configuration"} {
		if checkPrefix(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
