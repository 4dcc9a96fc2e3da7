package proxy

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/eventloop"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/relay"
	"wsauth/internal/upstream"
	"wsauth/internal/wsconn"
)

// TestEndWhileTied checks that a socket that ends while it is being connected
// to its upstream is counted under the reason for its end.
func TestEndWhileTied(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	guard := must(wsauth.New(wsauth.Config{Verifier: rejectAll{}, Logger: log}))
	t.Cleanup(func() { _ = guard.Shutdown(t.Context()) })
	carrier := relay.New(must(eventloop.New(eventloop.Options{Portable: true})))
	t.Cleanup(carrier.Close)
	recorder := telemetry.New(log, false)
	rs := New(Config{Guard: guard, Carrier: carrier, Recorder: recorder, Logger: log})
	t.Cleanup(rs.Close)
	routes, wrong := CheckRoutes([]Route{{Path: "/", Upstreams: []string{"http://127.0.0.1:1"}}}, OwnPaths{}, nil)
	if err := wrong.Join(); err != nil {
		t.Fatal(err)
	}
	if err := rs.Update(routes); err != nil {
		t.Fatal(err)
	}
	p := rs.table.Load().byName["/"]
	client, peer := net.Pipe()
	defer peer.Close()
	closed := make(chan struct{})
	conn := wsconn.New(client, func() { close(closed) })
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	record := recorder.Start(request, true)
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
	o.startRelay(&upstream.Socket{Conn: backend}, nil)
	answer := httptest.NewRecorder()
	recorder.Handler(telemetry.Health{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if want := `wsauth_sockets_ended_total{reason="session_ended",route="/"} 1`; !strings.Contains(answer.Body.String(), want) {
		t.Errorf("the metrics lack %q", want)
	}
	peer.Close()
	<-closed
}

func TestTransferOf(t *testing.T) {
	for _, c := range []struct {
		kind   string
		length int64
		want   wsauth.Transfer
	}{
		{"application/octet-stream", 1, wsauth.Bounded},
		{"application/octet-stream", -1, wsauth.Endless},
		{"text/event-stream", -1, wsauth.Endless},
		{"text/event-stream", 0, wsauth.Endless},
		{"Text/Event-Stream ;charset=utf-8", 1, wsauth.Endless},
		{"multipart/x-mixed-replace; boundary=x", -1, wsauth.Endless},
		{"multipart/x-mixed-replace; boundary=x", 0, wsauth.Endless},
		{"multipart/x-mixed-replace; boundary=x", 1, wsauth.Endless},
	} {
		r := &http.Response{ContentLength: c.length, Header: http.Header{"Content-Type": {c.kind}}}
		if got := transferOf(r); got != c.want {
			t.Errorf("%q of %d bytes: got %v, want %v", c.kind, c.length, got, c.want)
		}
	}
}
