package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// TestMetricsOfARemovedRoute checks that sockets that end with their removed
// route do not create its series again, and are not counted for a later route
// of the same name.
func TestMetricsOfARemovedRoute(t *testing.T) {
	b := newBackend(t)
	kept, removed := proxy.Route{Path: "/", Upstreams: []string{b.URL}}, proxy.Route{Path: "/goes/", Upstreams: []string{b.URL}}
	for name, later := range map[string][]proxy.Route{"gone": {kept}, "back": {kept, removed}} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.Routes = []proxy.Route{kept, removed} })
			access, _ := r.Login()
			first, second := r.socket("/goes/x", bearer(access)), r.socket("/goes/y", bearer(access))
			r.count(`sockets{route="/goes/"}`, "2")
			for _, routes := range [][]proxy.Route{{kept}, later} {
				if err := r.g.Update(routes); err != nil {
					t.Fatal(err)
				}
			}
			r.WantClose(first, 1012, "restarting")
			r.WantClose(second, 1012, "restarting")
			if err := r.g.Shutdown(t.Context()); err != nil { // nothing is reported afterwards
				t.Fatal(err)
			}
			for sample, value := range r.metrics() {
				if strings.Contains(sample, `route="/goes/"`) && (value != "0" && !strings.HasPrefix(sample, "upstreams") || name == "gone") {
					t.Errorf("%s is %s", sample, value)
				}
			}
		})
	}
}

// TestMetricsBalance checks that each handshake has one outcome and each
// opened socket one end, and that no socket is open at the end.
func TestMetricsBalance(t *testing.T) {
	slow := make(chan struct{})
	b := newBackend(t)
	cutting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/rude/slow":
			select {
			case <-slow:
			case <-r.Context().Done():
			}
		case "/rude/abort":
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(cutting.Close)
	routes := func(header string) []proxy.Route {
		return []proxy.Route{
			{Path: "/", Upstreams: []string{b.URL}, Headers: map[string]string{header: "sub"}},
			{Path: "/close/", Upstreams: []string{b.URL}, Refusal: wsauth.RefuseClose},
			{Path: "/first/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}},
			{Path: "/rude/", Upstreams: []string{cutting.URL}},
		}
	}
	r := start(t, func(c *Config) { c.Routes, c.AccessLog, c.Front.Drain = routes("X-User"), true, 8*time.Second })
	r.HTTP.Transport.(*http.Transport).DisableKeepAlives = true // an unused connection would delay the stop
	access, _ := r.Login()
	const rounds = 40
	var storm sync.WaitGroup
	each := func(do func()) {
		storm.Go(func() {
			for range rounds {
				do()
			}
		})
	}
	open := func(path, token string) *websocket.Conn {
		conn, _, err := r.DialPath(path, nil, bearer(token))
		if err != nil {
			return nil
		}
		return conn
	}
	kinds := 0
	for _, kind := range []struct{ path, token string }{
		{"/x", access}, {"/x", "bad"}, {"/close/x", access}, {"/close/x", "bad"}, {"/rude/abort", access}, {"/rude/teapot", access},
	} {
		kinds++
		each(func() {
			if conn := open(kind.path, kind.token); conn != nil {
				conn.CloseNow()
			}
		})
	}
	// Clients that disconnect before they are answered, or before they
	// authenticate.
	for _, path := range []string{"/rude/slow", "/first/x"} {
		kinds++
		each(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"+wstest.UpgradeFields+"\r\n", path, access)
			if path == "/first/x" {
				_, _ = conn.Read(make([]byte, 1))
			}
			conn.Close()
		})
	}
	var stays []*websocket.Conn
	for range 20 {
		stays = append(stays, r.socket("/x", bearer(access)))
	}
	each(func() {
		if err := r.g.Update(routes("X-Name")); err != nil {
			t.Error(err)
		}
		r.metrics()
		if err := r.g.Update(routes("X-User")); err != nil {
			t.Error(err)
		}
	})
	storm.Wait()
	r.count(`handshakes_total{outcome="refused",reason="token_invalid",route="/"}`, fmt.Sprint(rounds))
	close(slow)
	r.stop()
	if err := <-r.served; err != nil {
		t.Error(err)
	}
	outcomes, opened, ended := 0, 0, 0
	for sample, value := range r.metrics() {
		n, _ := strconv.Atoi(value)
		switch {
		case strings.HasPrefix(sample, "sockets{"):
			if n != 0 {
				t.Errorf("%s is %d, want 0", sample, n)
			}
		case strings.HasPrefix(sample, `handshakes_total{outcome="opened"`):
			opened += n
			outcomes += n
		case strings.HasPrefix(sample, "handshakes_total{"):
			outcomes += n
		case strings.HasPrefix(sample, "sockets_ended_total{"):
			ended += n
		}
	}
	if opened != ended || opened < len(stays) {
		t.Errorf("%d sockets were opened, %d have ended", opened, ended)
	}
	if want := kinds*rounds + len(stays); outcomes != want {
		t.Errorf("%d handshakes have an outcome, want %d: %v", outcomes, want, r.metrics())
	}
	// One line for each handshake and for the login.
	if lines := len(r.lines("request")); lines != outcomes+1 {
		t.Errorf("%d lines for %d handshakes", lines, outcomes)
	}
	if lines := len(r.lines("socket")); lines != ended {
		t.Errorf("%d lines for the ends of %d sockets", lines, ended)
	}
}
