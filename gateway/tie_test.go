package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"wsauth"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// TestEndWhileTied: a socket that ends while it is tied to its upstream is
// counted with the reason of its end, though its context does not have it yet.
func TestEndWhileTied(t *testing.T) {
	r := behind(t, newBackend(t))
	p := r.g.routing.Load().byName["/"]
	client, peer := net.Pipe()
	defer peer.Close()
	closed := make(chan struct{})
	conn := wsconn.New(client, func() { close(closed) })
	end := wsauth.SessionEnded.End(nil)
	conn.End(end, nil, func() {}) // it tells nobody yet
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), recordKey{}, &record{gateway: r.g, route: p.label}))
	backend, other := net.Pipe()
	defer other.Close()
	p.tie(httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx), conn, &upstream.Socket{Conn: backend}, &wsauth.Socket{}, nil)
	cancel(end)
	r.count(`socket_ends_total{reason="session_ended",route="/"}`, "1")
	peer.Close()
	<-closed
}
