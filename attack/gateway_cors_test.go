package attack

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

const evil = "https://evil.example"

// preflight returns the header lines of a preflight for a method.
func preflight(origin, method string, headers ...string) []string {
	lines := []string{"Origin: " + origin, "Access-Control-Request-Method: " + method}
	if len(headers) > 0 {
		lines = append(lines, "Access-Control-Request-Headers: "+strings.Join(headers, ","))
	}
	return lines
}

// ourPolicy returns a policy that allows the origin of the tests.
func ourPolicy() *proxy.CORS { return &proxy.CORS{Origins: []string{origin}} }

// allowedOrigin returns the origin that an answer allows, or "".
func allowedOrigin(a *answer) string {
	return strings.Join(a.Header["Access-Control-Allow-Origin"], " + ")
}

// TestCORSVectors checks that pages cannot read answers if their origin only
// resembles one of a policy, and that their preflights are refused.
func TestCORSVectors(t *testing.T) {
	route := proxy.Route{Path: "/", Public: true, CORS: &proxy.CORS{Origins: []string{
		origin, "http://localhost:5173", "https://xn--mnchen-3ya.example", "https://*.shop.example", "https://*.ports.example:8443",
	}}}
	x := newGatewayOf(t, gateway.Config{Routes: []proxy.Route{route}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // the gateway must remove the upstream's own policy
		respond(w, r)
	})
	vectors := wstest.Vectors(t, "testdata/corsorigins")
	for _, v := range wstest.Vectors(t, "testdata/origins") {
		if v.Expect != "" && v.Text != "" {
			vectors = append(vectors, v)
		}
	}
	for _, v := range vectors {
		t.Run(v.String(), func(t *testing.T) {
			want, status := v.Text, http.StatusNoContent
			if v.Expect != "" {
				want, status = "", http.StatusForbidden
			}
			a := x.send(t, plain("GET", "/", "Origin: "+v.Text))
			if a.StatusCode != http.StatusOK || allowedOrigin(a) != want || a.Header.Get("Vary") != "Origin" {
				t.Errorf("GET: %d %v", a.StatusCode, a.Header)
			}
			a = x.send(t, plain("OPTIONS", "/", preflight(v.Text, "PUT")...))
			if a.StatusCode != status || allowedOrigin(a) != want || !strings.Contains(a.body, v.Expect) {
				t.Errorf("preflight: %d %v %s, want %d", a.StatusCode, a.Header, a.body, status)
			}
		})
	}
}

// TestC18_TwoOrigins checks that a request with two Origin fields belongs to no
// page and is not a preflight.
func TestC18_TwoOrigins(t *testing.T) {
	x := newGateway(t, proxy.Route{Path: "/", CORS: ourPolicy()})
	for _, origins := range [][]string{{origin, evil}, {evil, origin}, {origin, origin}} {
		for _, method := range []string{"GET", "OPTIONS"} {
			a := x.send(t, plain(method, "/", "Origin: "+origins[0], "Origin: "+origins[1], "Access-Control-Request-Method: GET"))
			if a.StatusCode != http.StatusUnauthorized || allowedOrigin(a) != "" || a.Header.Get("Vary") != "Origin" {
				t.Errorf("%s %q: got %d %v, want 401 without an allowed origin", method, origins, a.StatusCode, a.Header)
			}
		}
	}
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("the backend gets %q", seen)
	}
}

// TestG10_EscapedOwnPath checks that if the gateway's policy for its own paths
// allows a preflight, the request does not reach the backend. Only some servers
// treat the tested paths as the gateway's own.
func TestG10_EscapedOwnPath(t *testing.T) {
	x := newGatewayOf(t, gateway.Config{
		AuthCORS: &proxy.CORS{Origins: []string{origin}, Credentials: true},
		Routes:   []proxy.Route{{Path: "/", Public: true, LenientPaths: true}},
	}, respond)
	for _, path := range []string{
		"/auth%2fusers/5", "/auth%2Fsession", "/auth/a%2fb", "/auth//sessions", "/auth/a;b", "/.well-known%2fjwks.json", `/auth\x`, "/auth%5cx",
		"//auth/x", "/%61uth/x", "/auth;x", "/auth%3bx", "/auth/..%2fx", "/auth/%2e%2e/x", "/auth/../x", "/auth%00", "/AUTH/x", "/auth%20",
		"/auth.", "/auth%ef%bc%8fx", "http://x/auth/x",
	} {
		a := x.send(t, plain("OPTIONS", path, preflight(origin, "DELETE", "authorization")...))
		x.takeRequests()
		x.send(t, plain("DELETE", path, "Origin: "+origin))
		if seen := x.takeRequests(); allowedOrigin(a) != "" && len(seen) > 0 {
			t.Errorf("%s: the preflight gets %d, and the backend gets %q", path, a.StatusCode, seen)
		}
	}
}

// TestG10_UpgradesVary checks that requests to upgrade to another protocol get
// the policy of their path, even if they are refused before they reach a route.
func TestG10_UpgradesVary(t *testing.T) {
	x := newGatewayOf(t, gateway.Config{
		AuthCORS: ourPolicy(),
		Routes:   []proxy.Route{{Path: "/", CORS: ourPolicy(), Public: true}, {Path: "/in", CORS: ourPolicy()}},
	}, respond)
	loop := request(t, x.forward(t, plain("GET", "/"))).Header.Get("Cdn-Loop")
	long := strings.Repeat("x", 9<<10)
	for _, c := range []struct {
		method, path string
		lines        []string
		status       int
	}{
		{"GET", "/auth/session", nil, 401},
		{"GET", "/auth/nothing", nil, 404},
		{"POST", "/auth/login", nil, 415},
		{"GET", "/in", nil, 403}, // CORS does not allow sockets
		{"POST", "/in", nil, 405},
		{"GET", "/IN", nil, 400},
		{"GET", "/x?" + long, nil, 414},
		{"GET", "/x", []string{"X-Long: " + strings.Repeat(long, 4)}, 431},
		{"TRACE", "/x", nil, 405},
		{"GET", "/x", []string{"Cdn-Loop: " + strings.Repeat(loop+", ", 6)}, 508},
	} {
		for from, want := range map[string]string{origin: origin, evil: ""} {
			if c.path == "/auth/login" && from == evil {
				continue
			}
			lines := append(slices.Clone(c.lines), "Origin: "+from)
			for name, raw := range map[string]string{
				"websocket": strings.Replace(upgrade(c.path, lines...), "GET", c.method, 1),
				"foo":       plain(c.method, c.path, append(lines, "Upgrade: foo", "Connection: upgrade")...),
				"h2c":       plain(c.method, c.path, append(lines, "Upgrade: h2c", "Connection: upgrade")...),
			} {
				a := x.send(t, raw)
				if from == origin && name == "websocket" && a.StatusCode != c.status || a.Header.Get("Vary") != "Origin" || allowedOrigin(a) != want {
					t.Errorf("%s %.30s for %s from %s: %d %v", c.method, c.path, name, from, a.StatusCode, a.Header)
				}
			}
		}
	}
}

// TestG10_AnswerToForwardedPreflight checks that the gateway forwards only the
// CORS fields of an upstream's answer to a preflight, without permission to
// send credentials.
func TestG10_AnswerToForwardedPreflight(t *testing.T) {
	config := gateway.Config{Routes: []proxy.Route{{Path: "/", CORS: &proxy.CORS{Upstream: true}}}}
	inBothProtocols(t, config, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Link", "</private/of-a-user.js>; rel=preload")
		h.Set("Set-Cookie", "early=1")
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Set-Cookie", "sid=of-nobody; Path=/")
		h.Set("Location", "/reset?once=secret")
		h.Set("Etag", `"hash"`)
		h.Set("X-Balance", "42")
		h.Set("Trailer", "X-After")
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Allow-Methods", "PUT")
		h.Set("Vary", "Origin, Access-Control-Request-Method")
		h.Set("Allow", "GET, PUT")
		h.Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "secret")
		h.Set("X-After", "1")
	}, func(t *testing.T, x *gatewayTarget) {
		a := x.do(t, "OPTIONS", "/x", "", preflight(origin, "PUT")...)
		a.Header.Del("Date")
		a.Header.Del("Content-Length")
		want := http.Header{
			"Access-Control-Allow-Origin": {origin}, "Access-Control-Allow-Methods": {"PUT"},
			"Vary": {"Origin, Access-Control-Request-Method"}, "Allow": {"GET, PUT"}, "Cache-Control": {"max-age=60"},
		}
		if diff := cmp.Diff(want, a.Header); diff != "" || a.StatusCode != http.StatusOK || a.body != "" || len(a.Trailer) > 0 {
			t.Errorf("%d %q %v (- want, + got):\n%s", a.StatusCode, a.body, a.Trailer, diff)
		}
		if a.ProtoMajor == 2 {
			return
		}
		conn := dial(t, x.addr)
		must(io.WriteString(conn, plain("OPTIONS", "/x", append(preflight(origin, "PUT"), "Connection: close")...)))
		all, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 200 ") || strings.Contains(string(all), "early") {
			t.Errorf("got %s, %v, want 200 without early fields", all, err)
		}
	})
}

// TestG10_Trailers checks that an upstream cannot send CORS fields in a
// trailer.
func TestG10_Trailers(t *testing.T) {
	config := gateway.Config{Routes: []proxy.Route{{Path: "/", Public: true, CORS: ourPolicy()}}}
	inBothProtocols(t, config, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.URL.RawQuery == "announced" {
			h.Set("Trailer", "Access-Control-Allow-Origin, X-After, access-control-allow-credentials")
			_, _ = io.WriteString(w, "hello")
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("X-After", "1")
			return
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		h.Set(http.TrailerPrefix+"Access-Control-Allow-Origin", "*")
		h.Set(http.TrailerPrefix+"Access-Control-Allow-Credentials", "true")
		h.Set(http.TrailerPrefix+"X-After", "1")
	}, func(t *testing.T, x *gatewayTarget) {
		for _, query := range []string{"announced", "none"} {
			a := x.do(t, "GET", "/?"+query, "", "Origin: "+origin, "TE: trailers")
			if diff := cmp.Diff(http.Header{"X-After": {"1"}}, a.Trailer); diff != "" || a.body != "hello" {
				t.Errorf("%s: %q (- want, + got):\n%s", query, a.body, diff)
			}
			if allowedOrigin(a) != origin {
				t.Errorf("%s: %q is allowed", query, allowedOrigin(a))
			}
		}
	})
}

// TestG10_ConnectionNamesCORS checks that an upstream cannot remove the
// gateway's CORS fields by naming them in Connection.
func TestG10_ConnectionNamesCORS(t *testing.T) {
	config := gateway.Config{Routes: []proxy.Route{{Path: "/", Public: true, Sockets: true, AnyOrigin: true, CORS: ourPolicy()}}}
	x := newGatewayOf(t, config, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close, Vary, Access-Control-Allow-Origin\r\nContent-Length: 2\r\n\r\nok")
	})
	for _, raw := range []string{plain("GET", "/", fromOurs), upgrade("/", fromOurs)} {
		if a := x.send(t, raw); a.Header.Get("Vary") != "Origin" || allowedOrigin(a) != origin {
			t.Errorf("%.80q: got %d %v", raw, a.StatusCode, a.Header)
		}
	}
}

// TestG10_PreflightsOfOtherRoutes checks that routes whose upstreams answer
// preflights forward no preflight that another route must refuse.
func TestG10_PreflightsOfOtherRoutes(t *testing.T) {
	upstreams := &proxy.CORS{Upstream: true}
	x := newGateway(t,
		proxy.Route{Path: "/", CORS: upstreams},
		proxy.Route{Path: "/admin", Scopes: []string{"admin"}},
		proxy.Route{Path: "/free/", Public: true, CORS: upstreams},
		proxy.Route{Path: "/asked/", Requirement: wsauth.Optional, CORS: upstreams},
	)
	loop := request(t, x.forward(t, plain("GET", "/free/"))).Header.Get("Cdn-Loop")
	lines := preflight(evil, "GET")
	requests := map[string]int{
		strings.Replace(upgrade("/x", lines...), "GET", "OPTIONS", 1):                       405,
		plain("OPTIONS", "/x", append(lines, "Cdn-Loop: "+strings.Repeat(loop+", ", 6))...): 508,
	}
	for path, status := range map[string]int{
		"/x": 200, "/admin": 401, "/admin/": 307, "/ADMIN": 400, "/a//b": 400, "/a%2fb": 400, "/%61dmin": 401, "/free/x": 200, "/asked/x": 200,
	} {
		requests[plain("OPTIONS", path, lines...)] = status
	}
	x.wantStatus(t, requests)
}
