package attack

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// A gatewayTarget is a gateway on loopback with the backend behind it.
// takeRequests returns the requests that have reached the backend.
type gatewayTarget struct {
	*target
	gateway *gateway.Gateway
	url     string
	client  *http.Client // over HTTP/2 if the gateway has a certificate
}

// newGateway serves a gateway whose routes lead to one backend. Without routes,
// the gateway guards / and leaves /public/ open.
func newGateway(t *testing.T, routes ...proxy.Route) *gatewayTarget {
	t.Helper()
	return newGatewayOf(t, gateway.Config{Routes: routes}, respond)
}

// newGatewayOf serves a gateway with the configuration c. It sets the keys, the
// routes and their upstreams where c leaves them empty. The backend records
// each request and calls serve.
func newGatewayOf(t *testing.T, c gateway.Config, serve http.HandlerFunc) *gatewayTarget {
	t.Helper()
	x := &gatewayTarget{target: &target{log: new(wstest.Log)}}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.record(r)
		serve(w, r)
	}))
	backend.Config.ErrorLog = log.New(x.log, "", 0)
	backend.Start()
	t.Cleanup(backend.Close)
	if c.Routes == nil {
		c.Routes = []proxy.Route{{Path: "/"}, {Path: "/public/", Public: true, Sockets: true}}
	}
	c.Routes = slices.Clone(c.Routes)
	for i := range c.Routes {
		if c.Routes[i].Upstreams == nil {
			c.Routes[i].Upstreams = []string{backend.URL}
		}
	}
	if c.Tokens.Keys == nil {
		c.Tokens.Keys = must(token.NewKeySet(keys().hs))
	}
	if !c.NoAuth {
		c.Login.Users = demo.Users{}
	}
	c.Logger = slog.New(slog.NewTextHandler(x.log, nil))
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := front.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.gateway, x.addr = g, l.Addr().String()
	x.url, x.client = "http://"+x.addr, &http.Client{
		Transport:     &http.Transport{},
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		x.client.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return x
}

// newGatewayOverTLS is like newGatewayOf, with TLS. The client uses HTTP/2.
func newGatewayOverTLS(t *testing.T, c gateway.Config, serve http.HandlerFunc) *gatewayTarget {
	t.Helper()
	certServer := httptest.NewTLSServer(nil)
	t.Cleanup(certServer.Close)
	c.Front.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certServer.TLS.Certificates[0], nil }
	x := newGatewayOf(t, c, serve)
	transport := certServer.Client().Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = true
	x.url, x.client.Transport = "https://"+x.addr, transport
	return x
}

// inBothProtocols runs f with a gateway that uses HTTP/1.1 without TLS, and
// with one that uses HTTP/2.
func inBothProtocols(t *testing.T, c gateway.Config, serve http.HandlerFunc, f func(t *testing.T, x *gatewayTarget)) {
	t.Helper()
	t.Run("http1", func(t *testing.T) { f(t, newGatewayOf(t, c, serve)) })
	t.Run("http2", func(t *testing.T) { f(t, newGatewayOverTLS(t, c, serve)) })
}

// do sends a request with the gateway's client and reads the answer.
func (x *gatewayTarget) do(t *testing.T, method, path, body string, lines ...string) *answer {
	t.Helper()
	client := logintest.Client{T: t, URL: x.url, HTTP: x.client}
	a := client.Send(method, path, strings.NewReader(body), append([]string{"Host: " + host}, lines...)...)
	return &answer{Response: a.Response, body: a.Text}
}

// socket opens a socket through the gateway.
func (x *gatewayTarget) socket(t *testing.T, path string, lines ...string) *wstest.Client {
	t.Helper()
	a := x.send(t, upgrade(path, lines...))
	if a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s: status %d, want 101: %s", path, a.StatusCode, a.body)
	}
	return &wstest.Client{Conn: a.conn, In: a.in}
}

// ticket requests a ticket for a path, as a page of the gateway does.
func (x *gatewayTarget) ticket(t *testing.T, tok, path string, lines ...string) string {
	t.Helper()
	body := fmt.Sprintf(`{"path":%q}`, path)
	a := x.send(t, plain("POST", "/auth/ticket", append(lines, bearer(tok), "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(body)))...)+body)
	var made struct{ Ticket string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Ticket == "" {
		t.Fatalf("no ticket: %d %s", a.StatusCode, a.body)
	}
	return made.Ticket
}

// wantEcho checks that the backend is at the other end of a socket.
func wantEcho(t *testing.T, c *wstest.Client, message string) {
	t.Helper()
	must(c.Conn.Write(wstest.Frame(0x81, message)))
	if _, got, err := c.ReadFrame(); err != nil || string(got) != message {
		t.Fatalf("%q comes back as %q, %v", message, got, err)
	}
}

// gatewayToken issues an access token of the gateway for ada.
func gatewayToken(t *testing.T) string {
	t.Helper()
	return gatewayTokenWith(t, nil)
}

// gatewayTokenWith is like gatewayToken, with additional claims.
func gatewayTokenWith(t *testing.T, claims map[string]any) string {
	t.Helper()
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys().hs})
	if err != nil {
		t.Fatal(err)
	}
	return must(issuer.Access("ada", token.Options{Claims: claims})).Raw
}

// forward sends a request to a gateway and returns the request that its backend
// gets.
func (x *gatewayTarget) forward(t *testing.T, raw string) string {
	t.Helper()
	return x.wantSuccess(t, x.send(t, raw))
}

// wantRefused checks that a request is refused and does not reach the backend.
func (x *gatewayTarget) wantRefused(t *testing.T, raw string, status int) {
	t.Helper()
	if a := x.send(t, raw); a.StatusCode != status {
		t.Errorf("status %d, want %d; %s\n%s", a.StatusCode, status, a.body, x.log.Take())
	}
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("the backend got %q, want nothing", seen)
	}
}

// wantStatus sends requests and checks the status of the answers. Only requests
// that are answered with 200 may reach the backend.
func (x *gatewayTarget) wantStatus(t *testing.T, requests map[string]int) {
	t.Helper()
	for raw, want := range requests {
		first, _, _ := strings.Cut(raw, "\r\n")
		if a := x.send(t, raw); a.StatusCode != want {
			t.Errorf("%s: status %d, want %d", first, a.StatusCode, want)
		}
		if seen := x.takeRequests(); (len(seen) > 0) != (want == http.StatusOK) {
			t.Errorf("%s: the backend got %q", first, seen)
		}
	}
}
