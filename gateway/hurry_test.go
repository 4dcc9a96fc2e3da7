package gateway

import (
	"io"
	"net"
	"testing"
	"time"

	"wsauth"
)

// socketFields are those of a handshake, without a credential.
const socketFields = "Host: app.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// hurries serves a handshake like an event loop, and fails the test if that
// blocks. The client has left afterwards.
func (r *rig) hurries(quick *routing, request string) {
	r.t.Helper()
	near, far := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	handshake := readHandshake([]byte(request + "\r\n"))
	handshake.RemoteAddr = "127.0.0.1:1"
	served := make(chan struct{})
	go func() {
		defer close(served)
		(&entrance{gateway: r.g}).serve(&answer{conn: near, quick: quick}, handshake)
	}()
	select {
	case <-served:
	case <-time.After(5 * time.Second):
		r.t.Error("it holds the loop")
	}
	_ = far.Close()
	<-served
}

// TestHurriedAtTheEnd checks that a loop that serves a handshake does not
// itself wait for the upstream's answer when no loop can do so any more.
func TestHurriedAtTheEnd(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := behind(t, newBackend(t), func(c *Config) {
		c.Routes = []Route{{Path: "/", Upstreams: []string{"http://" + silent.Addr().String()}, Public: true, Sockets: true}}
	})
	r.g.carrier.Close()
	r.hurries(r.g.routing.Load(), "GET /chat HTTP/1.1\r\n"+socketFields)
}

// TestHurriedWhileRoutesChange checks that a loop that has begun to serve a
// handshake by routes that cannot block does not continue by others that can.
func TestHurriedWhileRoutesChange(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b)
	quick := r.g.routing.Load()
	if err := r.g.Update([]Route{{Path: "/", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}}}); err != nil {
		t.Fatal(err)
	}
	r.hurries(quick, "GET /public/chat HTTP/1.1\r\n"+socketFields)
}
