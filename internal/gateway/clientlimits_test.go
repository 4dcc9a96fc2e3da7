package gateway

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// TestG8_ClientsBehindProxy checks that a client that has reached its limits of
// logins and sockets does not use up those of other clients, and cannot evade
// its own with forged headers.
func TestG8_ClientsBehindProxy(t *testing.T) {
	for _, f := range frontProxies {
		t.Run(f.name, func(t *testing.T) {
			b := newBackend(t)
			p := f.serve(t, func(c *Config) {
				c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = 100, 4
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true, Limits: proxy.RouteLimits{PerMinute: 5}}}
			})
			try := func(r *rig, name string) int {
				return r.Call("POST", "/auth/login", `{"username":"`+name+`","password":"wrong"}`, jsonType).StatusCode
			}
			mallory, ada := p.clientAt("192.0.2.66:1"), p.clientAt("192.0.2.1:1")
			tries := 0
			for status := 401; status != http.StatusTooManyRequests; tries++ {
				if status = try(mallory, fmt.Sprint("user", tries)); tries > 200 {
					t.Fatalf("%d tries, and still %d", tries, status)
				}
			}
			if tries < 20 {
				t.Errorf("refused after %d attempts", tries)
			}
			if got := try(p.clientAt("192.0.2.66:2", "X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.1"), "another"); got != http.StatusTooManyRequests {
				t.Errorf("with a forged address: %d", got)
			}
			if got := try(ada, "ada"); got != http.StatusUnauthorized {
				t.Errorf("another client: %d", got)
			}
			opened := 0
			for range 8 {
				if _, _, err := mallory.DialPath("/ws", nil); err == nil {
					opened++
				}
			}
			if opened > 4 || opened == 0 {
				t.Errorf("%d sockets of one client, want at most 4", opened)
			}
			// Use its remaining connections for answers that do not end.
			for range 4 - opened {
				events, err := mallory.HTTP.Get(mallory.URL + "/events")
				if err != nil {
					t.Fatal(err)
				}
				defer events.Body.Close()
			}
			if response, err := mallory.HTTP.Get(mallory.URL + "/page"); err == nil {
				if response.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("one more request of that client: %s", response.Status)
				}
				_ = response.Body.Close()
			}
			if e := ada.Call("GET", "/page", ""); e.StatusCode != http.StatusOK {
				t.Errorf("a request of another client: %d %s", e.StatusCode, e.Text)
			}
			for range 3 {
				conn, _, err := ada.DialPath("/ws", nil)
				if err != nil {
					t.Fatalf("another client: %v", err)
				}
				ada.WantEcho(conn, "hello")
			}
		})
	}
}

// TestBehindProxyOverHTTP2 checks that each request on a connection that
// several clients share is attributed to its own client.
func TestBehindProxyOverHTTP2(t *testing.T) {
	b := newBackend(t)
	r, _ := overTLS(t, func(c *Config) {
		c.Front.TrustedProxies, c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = []string{"127.0.0.1"}, 10, 1
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
	})
	for i := range 9 {
		client := fmt.Sprint("192.0.2.", i%3+1)
		e := r.Call("GET", "/page", "", "X-Forwarded-For: 127.0.0.1, "+client, "X-Forwarded-Proto: http")
		if e.StatusCode != http.StatusOK || e.ProtoMajor != 2 {
			t.Fatalf("%d by %s", e.StatusCode, e.Proto)
		}
		if in := b.last().Header; in.Get("X-Forwarded-For") != client || in.Get("X-Forwarded-Proto") != "http" {
			t.Errorf("%s arrives as %s by %s", client, in.Get("X-Forwarded-For"), in.Get("X-Forwarded-Proto"))
		}
	}
}

// TestG8_StreamsOfOneClient checks that requests on a shared connection are
// limited for each client, with and without a proxy, and that refusing one does
// not end the others.
func TestG8_StreamsOfOneClient(t *testing.T) {
	for name, trusted := range map[string][]string{"behind a proxy": {"127.0.0.1"}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			r, _ := overTLS(t, func(c *Config) {
				c.Front.TrustedProxies, c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = trusted, 20, 3
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}}
			})
			open := func(client string) *http.Response {
				t.Helper()
				q, err := http.NewRequestWithContext(t.Context(), "GET", r.URL+"/events", nil)
				if err != nil {
					t.Fatal(err)
				}
				q.Header.Set("X-Forwarded-For", client)
				response, err := r.HTTP.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = response.Body.Close() })
				return response
			}
			var held []*http.Response
			for i := range 5 {
				response := open("192.0.2.66")
				want := http.StatusOK
				if i >= 3 {
					want = http.StatusServiceUnavailable
				}
				if response.StatusCode != want || response.ProtoMajor != 2 {
					t.Fatalf("stream %d: %s by %s", i, response.Status, response.Proto)
				}
				held = append(held, response)
			}
			if response := open("192.0.2.1"); trusted != nil && response.StatusCode != http.StatusOK {
				t.Errorf("a stream of another client: %s", response.Status)
			}
			if _, err := io.ReadFull(held[0].Body, make([]byte, 1)); err != nil {
				t.Errorf("a stream that was open: %v", err)
			}
			_ = held[1].Body.Close() // the gateway notices this later
			for started := time.Now(); ; time.Sleep(time.Millisecond) {
				if response := open("192.0.2.66"); response.StatusCode == http.StatusOK {
					break
				}
				if time.Since(started) > time.Minute {
					t.Fatal("a stream that has ended still counts")
				}
			}
			if e := r.Call("GET", "/livez", "", "X-Forwarded-For: 192.0.2.66"); e.StatusCode != http.StatusOK {
				t.Errorf("/livez: %d", e.StatusCode)
			}
		})
	}
}

// TestG8_RefusedUpgradesAreNoSockets checks that a connection is not charged to
// a client permanently after an upgrade was refused. Proxies reuse such
// connections, so each later request is charged to its own client while it is
// served.
func TestG8_RefusedUpgradesAreNoSockets(t *testing.T) {
	b := newBackend(t)
	p := frontProxies[0].serve(t, func(c *Config) {
		c.Front.MaxConnections, c.Front.MaxConnectionsPerAddress = 100, 1
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true}}
	})
	kept := make([]*keptConn, 3)
	for i := range kept {
		kept[i] = p.keep()
		kept[i].get("/page", "192.0.2.1", "") // a connection whose first request is a refused upgrade is closed
		for range 2 {
			if got := kept[i].get("/auth/session", "192.0.2.66", wstest.UpgradeFields); got != http.StatusUnauthorized {
				t.Fatalf("connection %d of mallory: %d", i, got)
			}
		}
	}
	for i, conn := range kept {
		for _, client := range []string{"192.0.2.66", "192.0.2.1"} {
			if got := conn.get("/page", client, ""); got != http.StatusOK {
				t.Errorf("connection %d: a request of %s: %d", i, client, got)
			}
		}
	}
	for i, want := range []int{http.StatusSwitchingProtocols, http.StatusServiceUnavailable} {
		if got := kept[i].get("/ws", "192.0.2.1", wstest.UpgradeFields); got != want {
			t.Errorf("socket %d of a client that may have one: %d, want %d", i, got, want)
		}
	}
	if got := kept[2].get("/ws", "192.0.2.2", wstest.UpgradeFields); got != http.StatusSwitchingProtocols {
		t.Errorf("a socket of another client: %d", got)
	}
}
