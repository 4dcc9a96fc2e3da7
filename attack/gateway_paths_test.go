package attack

import (
	"net/http"
	"testing"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// TestPathVectors checks that a gateway with a guarded and a public route
// refuses paths that two servers may interpret differently.
func TestPathVectors(t *testing.T) {
	x := newGateway(t, proxy.Route{Path: "/", Public: true}, proxy.Route{Path: "/admin/"}, proxy.Route{Path: "/admin"})
	requests := map[string]int{
		plain("GET", "http://app.example/admin/x"): http.StatusBadRequest,
		plain("GET", "/admin"):                     http.StatusUnauthorized,
		plain("GET", "/admin/x"):                   http.StatusUnauthorized,
		plain("GET", "/%61dmin/x"):                 http.StatusUnauthorized,
		plain("GET", "/adm%69n"):                   http.StatusUnauthorized,
		plain("GET", "/other"):                     http.StatusOK,
	}
	for _, v := range wstest.Vectors(t, "testdata/paths") {
		requests[plain("GET", v.Text)] = http.StatusBadRequest
	}
	x.wantStatus(t, requests)
	x.send(t, "OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n")
	if seen := x.takeRequests(); len(seen) > 0 {
		t.Errorf("OPTIONS *: the backend has got %q", seen)
	}
}

// TestR13_LooseReadings checks that the gateway refuses paths that only a
// lenient backend treats as a guarded one: in another letter case, or with an
// escaped query or fragment.
func TestR13_LooseReadings(t *testing.T) {
	x := newGateway(t,
		proxy.Route{Path: "/", Public: true}, proxy.Route{Path: "/ws"}, proxy.Route{Path: "/Admin/"}, proxy.Route{Path: "/chat"},
		proxy.Route{Path: "/chat/", Public: true}, proxy.Route{Path: "/chat/log"}, proxy.Route{Path: "/pub", Public: true})
	requests := map[string]int{}
	for status, paths := range map[int][]string{
		400: {
			"/WS", "/Ws/", "/ws%3fx", "/ws%23x", "/ws/%3fx", "/wſ", "/w%C5%BF", "/admin/", "/ADMIN/x", "/adm%49n/x", "/CHAT", "/chat/Log",
			"/a#b", "/a?b#c",
		},
		401: {"/ws", "/ws?x", "/Admin/", "/Admin/X%3f", "/chat", "/chat/log"},
		200: {"/chat/", "/chat/x/", "/PUB", "/pub/", "/wsx", "/Who%3F", "/x/ws", "/ws/x"},
		307: {"/ws/", "/chat/log/", "/Admin"},
	} {
		for _, path := range paths {
			requests[plain("GET", path)] = status
		}
	}
	x.wantStatus(t, requests)
}

// TestR13_HostileHosts checks that hosts that a backend may confuse with the
// guarded one are refused or guarded.
func TestR13_HostileHosts(t *testing.T) {
	x := newGateway(t, proxy.Route{Path: "/", Public: true}, proxy.Route{Host: "app.example", Path: "/"})
	at := func(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n" }
	requests := map[string]int{"GET / HTTP/1.0\r\nHost: \r\n\r\n": 400}
	for status, hosts := range map[int][]string{
		400: {
			"app.example..", ".app.example", "app..example", "app.example:80:80", "app.example:x", "app.example:123456", "app.example,x", "app.example;x",
			"app.example%00", "app%2eexample", "[app.example]", "[::1", "[::1]x", "[127.0.0.1]", "[::1%25lo]", "", ".", ":80",
		},
		401: {"app.example", "APP.example", "app.example.", "app.example:80", "app.example:", "app.example.:80"},
		200: {"b.app.example", "my_app", "127.0.0.1:80", "[::1]", "[::1]:80"},
	} {
		for _, host := range hosts {
			requests[at(host)] = status
		}
	}
	x.wantStatus(t, requests)
}

// TestR14_Methods checks that methods that only proxies and debuggers need are
// refused.
func TestR14_Methods(t *testing.T) {
	newGateway(t).wantStatus(t, map[string]int{plain("TRACE", "/public/a"): 405, plain("CONNECT", "/public/a"): 405, plain("CONNECT", "example.com:443"): 405})
}
