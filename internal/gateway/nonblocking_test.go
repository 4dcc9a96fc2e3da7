package gateway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// socketFields holds the header lines of a handshake without a credential.
const socketFields = "Host: app.example\r\n" + wstest.UpgradeFields

// serveOnLoop serves a handshake as an event loop does, by the result of match.
// It fails the test if that blocks. The client then disconnects.
func (r *rig) serveOnLoop(match func(*http.Request) proxy.Match, request string) {
	r.T.Helper()
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	handshake := front.ReadHandshake([]byte(request + "\r\n"))
	handshake.RemoteAddr = "127.0.0.1:1"
	served := make(chan struct{})
	go func() {
		defer close(served)
		h := r.g.front.NewHandshake(near, true)
		h.SetOnLoop()
		defer h.Finish()
		r.g.serve(h, handshake, h.Place(), match(handshake))
	}()
	select {
	case <-served:
	case <-time.After(5 * time.Second):
		r.T.Error("serving the handshake blocks the event loop")
	}
	_ = far.Close()
	<-served
}

// TestLoopNeverWaitsForUpstream checks that an event loop that serves a
// handshake does not wait for the answer of the upstream even if all loops have
// stopped.
func TestLoopNeverWaitsForUpstream(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := serveBehind(t, newBackend(t), func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{"http://" + silent.Addr().String()}, Public: true, Sockets: true}}
	})
	r.g.carrier.Close()
	r.serveOnLoop(r.g.routes.Match, "GET /chat HTTP/1.1\r\n"+socketFields)
}

// TestLoopKeepsItsRoutes checks that an event loop serves a handshake by the
// routes of its match, which cannot block, even if an update has replaced them
// by routes that can.
func TestLoopKeepsItsRoutes(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	before := r.g.routes.Match(must(http.NewRequest("GET", "/public/chat", nil)))
	if err := r.g.Update([]proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}}}); err != nil {
		t.Fatal(err)
	}
	r.serveOnLoop(func(*http.Request) proxy.Match { return before }, "GET /public/chat HTTP/1.1\r\n"+socketFields)
}

// TestHandshakePanics checks that a panic in any step of serving a handshake,
// the look-up of its route included, ends only its connection.
func TestHandshakePanics(t *testing.T) {
	r := serveBehind(t, newBackend(t))
	r.awaitReady()
	for _, idle := range []bool{false, true} {
		near, far := net.Pipe()
		r.g.serveHandshake(r.g.front.NewHandshake(near, idle), &http.Request{Host: "app.example"}) // without a URL
		_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("idle %t: %v, want EOF", idle, err)
		}
		_ = far.Close()
	}
	if n := strings.Count(r.log.String(), "panic serving a handshake"); n != 2 {
		t.Errorf("%d panics are logged, want 2", n)
	}
}
