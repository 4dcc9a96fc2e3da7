package gateway

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/token"
)

// TestMaxConnections checks, for each kind of listener, that idle connections
// make room for new ones, that the last eighth opens no sockets, and that a
// login passes.
func TestMaxConnections(t *testing.T) {
	b := newBackend(t)
	few := func(c *Config) {
		c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = 16, 16
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}}
	}
	for name, begin := range map[string]func(*testing.T) *rig{
		"event loop": func(t *testing.T) *rig { return start(t, few) },
		"TLS": func(t *testing.T) *rig {
			r, _ := overTLS(t, few)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := begin(t)
			_, address, _ := strings.Cut(r.URL, "://")
			for range 40 {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			access, _ := r.Login()
			open := func() (*websocket.Conn, *http.Response, error) {
				if name == "TLS" {
					return r.dialTLS("/x", bearer(access), "Origin: "+r.URL)
				}
				return r.DialPath("/x", nil, bearer(access))
			}
			for i := range 14 {
				if _, _, err := open(); err != nil {
					t.Fatalf("socket %d: %v", i, err)
				}
			}
			if _, resp, err := open(); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" {
				t.Fatalf("one more than 7/8: %v, %v", resp, err)
			}
			r.HTTP.CloseIdleConnections()
			r.Login()
			r.count(`handshakes_total{outcome="refused",reason="overloaded",route="none"}`, "1")
			r.count("connections_limit", "16")
			if log := r.log.String(); !strings.Contains(log, "limit=max_connections") || strings.Contains(log, "cannot be reached") {
				t.Error(log)
			}
		})
	}
}

func TestMaxConnectionsIsChecked(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Front.MaxConnections":           func(c *Config) { c.Front.MaxConnections = -1 },
		"Front.MaxConnectionsPerAddress": func(c *Config) { c.Front.MaxConnectionsPerAddress = -1 },
	} {
		c := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256))))}, Login: login.Config{Users: demo.Users{}}}
		change(&c)
		_, err := c.Check()
		if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Field != field {
			t.Errorf("got %v, want a fault of %s", err, field)
		}
	}
}
