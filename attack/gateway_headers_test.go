package attack

import (
	"net/http"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
)

// wantLines checks that the request that the backend got contains the header
// lines.
func wantLines(t *testing.T, seen string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(seen, "\r\n"+line) {
			t.Errorf("the backend lacks %q in\n%s", line, seen)
		}
	}
}

// TestR9_SpoofedIdentity checks that identity headers of a client do not reach
// the backend, in any spelling, on a guarded and a public route.
func TestR9_SpoofedIdentity(t *testing.T) {
	x := newGateway(t)
	spoofs := []string{bearer(gatewayToken(t)), "X-User: mallory", "X_User: mallory", "x-user: mallory", "X.User: mallory", "x_USER: mallory"}
	for _, path := range []string{"/a", "/public/a"} {
		if seen := x.forward(t, plain("GET", path, spoofs...)); strings.Contains(seen, "mallory") {
			t.Errorf("%s: the backend gets\n%s", path, seen)
		}
	}
}

// TestR10_ConnectionNamesIdentity checks that a client cannot remove the
// gateway's headers by naming them in Connection.
func TestR10_ConnectionNamesIdentity(t *testing.T) {
	x := newGateway(t)
	tok := bearer(gatewayToken(t))
	wantLines(t, x.forward(t, plain("GET", "/a", tok, "Connection: close, X-User, X-Forwarded-For")), "X-User: ada\r\n", "X-Forwarded-For: 127.0.0.1\r\n")
	socket := strings.Replace(upgrade("/a", tok), "Connection: Upgrade", "Connection: Upgrade, X-User, X-Forwarded-Host", 1)
	wantLines(t, x.forward(t, socket), "X-User: ada\r\n", "X-Forwarded-Host: app.example\r\n")
}

// TestR11_Forwarded checks that only the gateway's own forwarding headers reach
// the backend, and none of a client.
func TestR11_Forwarded(t *testing.T) {
	x := newGateway(t)
	lines := []string{bearer(gatewayToken(t))}
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "X_Forwarded_For", "X-Forwarded-User", "x_real_ip",
		"X-Forwarded", "X-Original-URL", "x_original_uri", "X-Original-Host", "X-Rewrite-URL", "Proxy", "SCRIPT_NAME", "Script-Name", "script.name",
		"Path_Info", "PATH-INFO", "X-Script-Name", "Request_URI", "X-Host", "X-Scheme", "X-HTTP-Host-Override", "X-Waws-Unencoded-URL",
		"CF-Connecting-IPv6", "X-Azure-ClientIP", "X-Sendfile-Type", "X-Accel-Mapping", "Remote_Addr", "Content_Length", "Transfer_Encoding",
		"Sec_WebSocket_Protocol", "Forwarded-For", "Forwarded_Proto", "Z-Forwarded-For", "X-Vercel-Forwarded-For", "CloudFront-Forwarded-Proto",
		"X-Forward-For", "X-Forward-Proto", "Real-IP", "X-Real-Port", "Ali-CDN-Real-IP", "X-Nf-Client-Connection-Ip", "X-Envoy-External-Address",
		"X-ProxyUser-Ip", "CF-Visitor", "X-ARR-SSL",
	} {
		lines = append(lines, name+": evil")
	}
	for _, raw := range []string{plain("GET", "/a", lines...), upgrade("/a", lines...)} {
		seen := x.forward(t, raw)
		if strings.Contains(seen, "evil") {
			t.Errorf("the backend gets\n%s", seen)
		}
		wantLines(t, seen, "X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Proto: http\r\n", "X-Forwarded-Host: app.example\r\n")
	}
}

// TestR12_LoginCookies checks that login cookies, which browsers send with
// every request, never reach a backend, whatever extractors its route has.
// Other cookies reach it, and so does a CSRF header that is not the gateway's.
func TestR12_LoginCookies(t *testing.T) {
	for name, extractors := range map[string][]wsauth.Extractor{
		"header": {wsauth.Header{}}, "ticket": {wsauth.Ticket{}, wsauth.Header{}}, "first_message": {wsauth.FirstMessage{}, wsauth.Header{}}, "default": nil,
	} {
		x := newGateway(t, proxy.Route{Path: "/", Extractors: extractors}, proxy.Route{Path: "/public/", Public: true, Sockets: true, Extractors: extractors})
		tok := bearer(gatewayToken(t))
		for _, path := range []string{"/a", "/public/a"} {
			guarded := path == "/a"
			loginCookie := "access_token_cookie=SECRET; "
			lines := []string{"X-CSRF-Token: theirs"}
			if guarded {
				loginCookie = "" // the guard would refuse two credentials
				lines = append(lines, tok)
			}
			lines = append(lines, "Cookie: a=1; "+loginCookie+"__Host-refresh_token_cookie=SECRET; csrf_access_token=SECRET;b=2")
			for kind, raw := range map[string]string{"plain": plain("GET", path, lines...), "upgrade": upgrade(path, lines...)} {
				t.Run(name+path+"/"+kind, func(t *testing.T) {
					seen := x.forward(t, raw)
					if strings.Contains(seen, "SECRET") {
						t.Errorf("the backend gets\n%s", seen)
					}
					wantLines(t, seen, "Cookie: a=1;")
					// The default extractors read cookies. With them, the gateway
					// removes the CSRF header.
					if theirs := strings.Contains(seen, "X-Csrf-Token: theirs"); theirs == (guarded && extractors == nil) {
						t.Errorf("the backend gets X-CSRF-Token: %v", theirs)
					}
				})
			}
		}
	}
}

// TestG7_ForwardingHeadersOfUntrustedPeers checks that forwarding headers have
// no effect if the peer is not a trusted proxy. The log must name the setting
// that may be missing, once.
func TestG7_ForwardingHeadersOfUntrustedPeers(t *testing.T) {
	lines := []string{
		"X-Forwarded-For: 127.0.0.1, 10.0.0.1", "X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1;proto=http;host=evil.example", "X-Forwarded-Host: evil.example",
		"X-Forwarded-Port: 1", "X-Forwarded-Proto: gopher", "X_Forwarded_For: 127.0.0.1", "X-Forwarded-Prefix: /x", "True-Client-Ip: 127.0.0.1",
		"X-Client-Ip: 127.0.0.1", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1;proto=https",
	}
	for _, trusted := range [][]string{nil, {"192.0.2.0/24", "unix"}} {
		x := newGatewayOf(t, gateway.Config{Front: front.Config{TrustedProxies: trusted}}, respond)
		for range 3 {
			h := request(t, x.forward(t, plain("GET", "/public/x", lines...))).Header
			for name, want := range map[string]string{
				"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": host, "Forwarded": "",
			} {
				if got := strings.Join(h[name], "|"); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
		x.wantRefused(t, upgrade("/public/ws", append(lines, "Origin: https://"+host)...), http.StatusForbidden)
		logged := x.log.Take()
		if n := strings.Count(logged, "add it to trusted_proxies"); n != 1 {
			t.Errorf("the log names the setting %d times, want once", n)
		}
		if strings.Contains(logged, "192.0.2.1") {
			t.Error("the log has an address that an untrusted peer has sent")
		}
	}
}
