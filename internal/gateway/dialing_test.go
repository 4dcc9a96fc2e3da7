package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wsframe"
	"wsauth/internal/wstest"
)

// A slowBackend accepts a handshake and answers on command. It reports when
// the gateway disconnects.
type slowBackend struct {
	*httptest.Server
	arrived, left, answer chan struct{}
}

func newSlowBackend(t *testing.T) *slowBackend {
	t.Helper()
	b := &slowBackend{arrived: make(chan struct{}, 10), left: make(chan struct{}, 10), answer: make(chan struct{})}
	fast := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.arrived <- struct{}{}
		select {
		case <-r.Context().Done():
			b.left <- struct{}{}
		case <-b.answer:
			fast.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// begin sends a handshake and waits until the backend gets it.
func (b *slowBackend) begin(t *testing.T, r *rig, path, credential string) net.Conn {
	t.Helper()
	conn := r.handshake(path, credential)
	b.await(t, b.arrived)
	return conn
}

// await waits for an event of the backend.
func (b *slowBackend) await(t *testing.T, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(20 * time.Second):
		t.Fatal("timeout: want a handshake to arrive, or to be abandoned")
	}
}

// handshake sends a handshake and does not read the answer.
func (r *rig) handshake(path, credential string) net.Conn {
	r.T.Helper()
	conn := r.Connect()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example\r\n"+wstest.UpgradeFields+"%s\r\n\r\n", path, credential)
	return conn
}

// TestClientLeavesWhileDialing checks that the gateway closes the connection to
// an upstream that has not answered when the client disconnects.
func TestClientLeavesWhileDialing(t *testing.T) {
	b := newSlowBackend(t)
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true, Sockets: true, Response: time.Minute}}
	})
	conn := b.begin(t, r, "/x", "X-A: b")
	conn.Close()
	b.await(t, b.left)
	r.count(`handshakes_total{outcome="abandoned",reason="",route="/"}`, "1")
}

// TestSlowUpstream checks that a client that waits gets its socket, and that
// its data arrives afterwards.
func TestSlowUpstream(t *testing.T) {
	t.Parallel() // it waits for more than a second
	b := newSlowBackend(t)
	r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
	access, _ := r.Login()
	conn := b.begin(t, r, "/x", bearer(access))
	time.AfterFunc(3*time.Second/2, func() { close(b.answer) }) // the gateway checks after a second that the client is connected
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	if _, err := conn.Write([]byte("\x81\x82\x00\x00\x00\x00hi")); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 4)
	if _, err := io.ReadFull(in, echo); err != nil || string(echo) != "\x81\x02hi" {
		t.Errorf("echo %q, %v, want hi", echo, err)
	}
}

// TestEndWhileDialing checks that if a session ends while the gateway waits for
// the upstream, the gateway stops waiting and tells the client the reason.
func TestEndWhileDialing(t *testing.T) {
	b := newSlowBackend(t)
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{
			{Path: "/http", Upstreams: []string{b.URL}},
			{Path: "/close", Upstreams: []string{b.URL}, Refusal: wsauth.RefuseClose},
			{Path: "/first", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}},
		}
	})
	for path, status := range map[string]int{"/http": http.StatusUnauthorized, "/close": http.StatusSwitchingProtocols, "/first": http.StatusSwitchingProtocols} {
		t.Run(path, func(t *testing.T) {
			access, refresh := r.Login()
			credential := bearer(access)
			if path == "/first" {
				credential = "X-None: none"
			}
			conn := r.handshake(path, credential)
			in := bufio.NewReader(conn)
			answer := func() *http.Response {
				resp, err := http.ReadResponse(in, nil)
				if err != nil || resp.StatusCode != status {
					t.Fatal(resp, err)
				}
				return resp
			}
			var resp *http.Response
			if path == "/first" {
				resp = answer()
				message := `{"type":"auth","token":"` + access + `"}`
				if _, err := conn.Write(wsframe.AppendMaskedText(nil, []byte(message))); err != nil {
					t.Fatal(err)
				}
			}
			b.await(t, b.arrived)
			r.Call("POST", "/auth/logout", "", bearer(refresh))
			b.await(t, b.left)
			if resp == nil {
				resp = answer()
			}
			rest := in
			if status != http.StatusSwitchingProtocols {
				rest = bufio.NewReader(resp.Body)
			}
			text, err := io.ReadAll(rest)
			if err != nil || !strings.Contains(string(text), "session_ended") {
				t.Errorf("got %q, %v, want session_ended", text, err)
			}
			r.count(`handshakes_total{outcome="ended",reason="session_ended",route="`+path+`"}`, "1")
		})
	}
}
