package attack

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth/gateway"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// newGateway serves a gateway on loopback. The target's handle runs in the
// backend behind it, so took returns what has reached the backend. Without
// routes, the gateway guards / and admits everybody to /public/. Every route
// leads to the backend.
func newGateway(t *testing.T, routes ...gateway.Route) *target {
	t.Helper()
	x := &target{log: new(wstest.Log)}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(x.handle))
	backend.Config.ErrorLog = log.New(x.log, "", 0)
	backend.Start()
	t.Cleanup(backend.Close)
	if len(routes) == 0 {
		routes = []gateway.Route{{Path: "/"}, {Path: "/public/", Public: true, Sockets: true}}
	}
	for i := range routes {
		routes[i].Upstreams = []string{backend.URL}
	}
	g, err := gateway.New(gateway.Config{
		Keys: sure(token.NewKeySet(keys().hs)), Authenticate: demo.Authenticate,
		Routes: routes, Logger: slog.New(slog.NewTextHandler(x.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return x
}

// gatewayToken issues an access token of the gateway for ada.
func gatewayToken(t *testing.T) string {
	t.Helper()
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys().hs})
	if err != nil {
		t.Fatal(err)
	}
	return sure(issuer.Access("ada", token.Options{})).Raw
}

// wantStatus sends requests and checks the status of the answers. Only what is
// answered with 200 may reach the backend.
func (x *target) wantStatus(t *testing.T, requests map[string]int) {
	t.Helper()
	for raw, want := range requests {
		first, _, _ := strings.Cut(raw, "\r\n")
		if a := x.send(t, raw); a.StatusCode != want {
			t.Errorf("%s: status %d, want %d", first, a.StatusCode, want)
		}
		if seen := x.took(); (len(seen) > 0) != (want == http.StatusOK) {
			t.Errorf("%s: the backend has got %q", first, seen)
		}
	}
}
