package attack

import (
	"net/http"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"

	"wsauth"
)

// A socketRequest is a request for a socket, in the usual or in an unusual
// form.
type socketRequest struct {
	name string
	raw  string
	want wsauth.Reason // the refusal of a public route without sockets
}

// socketRequests returns requests that a server behind a gateway may treat as
// handshakes.
func socketRequests(path string, lines ...string) []socketRequest {
	good := upgrade(path, lines...)
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	const notAllowed, bad = wsauth.SocketsNotAllowed, wsauth.InvalidHandshake
	return []socketRequest{
		{"usual", good, notAllowed},
		{"capitals", with("Upgrade: websocket", "UPGRADE: WebSocket"), notAllowed},
		{"long_header_first", with("Upgrade: ", "X-First: "+strings.Repeat("x", 9000)+"\r\nUpgrade: "), notAllowed}, // net/http reads a handshake of this length
		{"list", with("websocket", "websocket, h2c"), bad},
		{"list_reversed", with("websocket", "h2c, websocket"), bad},
		{"two_lines", with("Upgrade: ", "Upgrade: h2c\r\nUpgrade: "), bad},
		{"tcp", with("websocket", "tcp"), bad},
		{"empty", with("Upgrade: websocket", "Upgrade:"), bad},
		{"post", with("GET", "POST"), wsauth.MethodNotAllowed},
		{"version_8", with("Version: 13", "Version: 8"), wsauth.VersionNotSupported},
	}
}

// pagesAndSocket returns a common configuration: public pages and a guarded
// socket on one backend.
func pagesAndSocket(change func(pages *proxy.Route)) []proxy.Route {
	pages := proxy.Route{Path: "/", Public: true}
	if change != nil {
		change(&pages)
	}
	return []proxy.Route{pages, {Path: "/ws"}}
}

// TestG1_PublicRouteWithoutSockets checks that handshakes reach a backend only
// at its guarded path, so that none bypasses the guard through the public
// route. The backend would open sockets at every path.
func TestG1_PublicRouteWithoutSockets(t *testing.T) {
	x := newGateway(t, pagesAndSocket(nil)...)
	tok := gatewayToken(t)
	for _, path := range []string{"/", "/x", "/ws/x", "/ws2", "/w", "/x/ws", "/?ws", "/x?token=" + tok} {
		for _, lines := range [][]string{nil, {bearer(tok)}} {
			for _, r := range socketRequests(path, lines...) {
				x.wantNoSocket(t, path+"/"+r.name, r.raw, r.want)
			}
		}
	}
	x.wantSuccess(t, x.send(t, upgrade("/ws", bearer(tok))))
	x.wantNoSocket(t, "the guarded socket", upgrade("/ws"), wsauth.TokenMissing)
	// The gateway does not forward an offer of h2c. The request is a plain one.
	for _, offer := range []string{"Upgrade: h2c", "Upgrade: H2C"} {
		a := x.send(t, plain("GET", "/x", offer, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"))
		seen := strings.Join(x.takeRequests(), "")
		if a.StatusCode != http.StatusOK || seen == "" || strings.Contains(seen, "pgrade") || strings.Contains(seen, "Http2") {
			t.Errorf("%s: status %d, the backend gets\n%s", offer, a.StatusCode, seen)
		}
	}
}

// wantNoSocket checks that a handshake is refused over HTTP, that the
// connection closes, and that nothing reaches the backend.
func (x *gatewayTarget) wantNoSocket(t *testing.T, name, raw string, want wsauth.Reason) {
	t.Helper()
	a := x.send(t, raw)
	if !strings.Contains(a.body, `"`+string(want)+`"`) || !a.Close {
		t.Errorf("%s: status %d, %s, connection closes: %v; want %s", name, a.StatusCode, a.body, a.Close, want)
	}
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("%s: the backend gets %q", name, seen)
	}
	if logged := x.log.Take(); want == wsauth.SocketsNotAllowed && !strings.Contains(logged, "reason=sockets_not_allowed") {
		t.Errorf("%s: not logged: %s", name, logged)
	}
}

// TestG1_PublicRouteWithSockets checks that a public route with sockets opens
// them only for correct handshakes of its own pages. The guarded path stays
// guarded.
func TestG1_PublicRouteWithSockets(t *testing.T) {
	x := newGateway(t, pagesAndSocket(func(pages *proxy.Route) { pages.Sockets = true })...)
	x.wantSuccess(t, x.send(t, upgrade("/x")))
	x.wantSuccess(t, x.send(t, upgrade("/x", "Origin: http://"+host)))
	for _, r := range socketRequests("/x") {
		if r.want != wsauth.SocketsNotAllowed {
			x.wantNoSocket(t, r.name, r.raw, r.want)
		}
	}
	x.wantNoSocket(t, "foreign page", upgrade("/x", "Origin: https://evil.example"), wsauth.OriginNotAllowed)
	x.wantNoSocket(t, "the guarded socket", upgrade("/ws"), wsauth.TokenMissing)
}

// TestG1_RefusalByClose checks that a close frame tells pages the reason of a
// refusal.
func TestG1_RefusalByClose(t *testing.T) {
	x := newGateway(t, pagesAndSocket(func(pages *proxy.Route) { pages.Refusal = wsauth.RefuseClose })...)
	if code, reason := x.send(t, upgrade("/x")).closeFrame(t); code != 3003 || reason != "sockets_not_allowed" {
		t.Errorf("closed with %d %q, want a refusal", code, reason)
	}
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("the backend gets %q", seen)
	}
}
