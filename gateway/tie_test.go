package gateway

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// TestEndWhileTied: a socket that ends while it is tied to its upstream is
// counted with the reason of its end.
func TestEndWhileTied(t *testing.T) {
	r := behind(t, newBackend(t))
	p := r.g.routes.table.Load().byName["/"]
	client, peer := net.Pipe()
	defer peer.Close()
	closed := make(chan struct{})
	conn := wsconn.New(client, func() { close(closed) })
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	record := r.g.recorder.Start(request, true)
	record.SetRoute(p.label)
	request = request.WithContext(telemetry.With(t.Context(), record))
	socket, err := p.guard.Admit(request, wsauth.Optional, nil, conn)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Closed()
	socket.End(wsauth.SessionEnded)
	backend, other := net.Pipe()
	defer other.Close()
	o := &opening{proxy: p, w: wsconn.NewResponse(conn), r: request, socket: socket}
	o.tie(&upstream.Socket{Conn: backend}, nil)
	r.count(`sockets_ended_total{reason="session_ended",route="/"}`, "1")
	peer.Close()
	<-closed
}
