package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"wsauth/internal/upstream"
)

// beyond serves a public route to backend as Serve would, all in a bubble, and returns a connection to it.
func (r *rig) beyond(backend http.HandlerFunc) net.Conn {
	r.t.Helper()
	behind, front := newMemoryListener(), newMemoryListener()
	route := must(Route{Path: "/", Upstreams: []string{"http://backend"}, Public: true}.withDefaults())
	p := must(r.g.newProxy(route, upstream.Config{Dial: behind.Dial}))
	server := &http.Server{Handler: p, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second} // as Serve has it
	for l, s := range map[net.Listener]*http.Server{behind: {Handler: backend}, front: server} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Serve(l) // until it is closed
		}()
		r.t.Cleanup(func() {
			_ = s.Close()
			<-done
		})
	}
	conn := must(front.Dial(context.Background()))
	r.t.Cleanup(func() {
		_ = conn.Close()
		p.pool.Close()
	})
	return conn
}

// TestLateAnswers: an upstream may take longer than the gateway has for its own answers, also where it answers without a body.
func TestLateAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn := r.beyond(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(50 * time.Second)
			w.WriteHeader(http.StatusNoContent)
		})
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatalf("%v %v", resp, err)
		}
	})
}

// TestR15_WhoReadsNothingIsCut, also where all of the answer is in the server's buffer already.
func TestR15_WhoReadsNothingIsCut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn := r.beyond(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") })
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * patience)
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes after %v", n, 2*patience)
		}
	})
}
