package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// TestMarkerIsSelected checks that the gateway selects the subprotocol that
// precedes the token, if the upstream selects none and the client offers no
// other.
func TestMarkerIsSelected(t *testing.T) {
	b := newBackend(t) // supports chat
	change := func(c *Config) {
		at := []string{b.URL}
		protocols := []wsauth.Extractor{wsauth.Subprotocol{}, wsauth.Subprotocol{Prefix: "tok."}, wsauth.Header{}}
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: at, Extractors: protocols},
			{Path: "/named", Upstreams: at, Extractors: []wsauth.Extractor{wsauth.Subprotocol{Name: "access_token"}, wsauth.FirstMessage{}}},
			{Path: "/keeps", Upstreams: at, Extractors: protocols, KeepCredential: true},
			{Path: "/optional", Upstreams: at, Extractors: protocols, Requirement: wsauth.Optional},
			{Path: "/public", Upstreams: at, Public: true, Sockets: true},
		}
	}
	plain := start(t, change)
	secure, _ := overTLS(t, change)
	for name, r := range map[string]*rig{"plain": plain, "tls": secure} {
		access, _ := r.Login()
		for _, c := range []struct {
			path     string
			offer    []string
			selected string
		}{
			{"/", []string{"bearer", access}, "bearer"},
			{"/named", []string{"access_token", access}, "access_token"},
			{"/keeps", []string{"bearer", access}, "bearer"},
			{"/optional", []string{"bearer", access}, "bearer"},
			{"/", []string{"bearer", access, "chat"}, "chat"},
			{"/", []string{"bearer", access, "v2"}, ""},
			{"/", []string{"tok." + access}, ""},
			{"/", []string{"tok." + access, "v2"}, ""},
			{"/optional", []string{"v2"}, ""},
			{"/public", []string{"bearer", access}, ""},
		} {
			transport := r.HTTP.Transport.(*http.Transport).Clone()
			if name == "tls" {
				transport.ForceAttemptHTTP2 = false
				transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(handshakeFor(t, r.URL+c.path, c.offer))
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header["Sec-Websocket-Protocol"]; resp.StatusCode != 101 || strings.Join(got, ",") != c.selected || (got == nil) != (c.selected == "") {
				t.Errorf("%s%s, %.20q: %d, selected %q, want %q", name, c.path, c.offer, resp.StatusCode, got, c.selected)
			}
			_ = resp.Body.Close()
			transport.CloseIdleConnections()
			sent := strings.Join(b.last().Header["Sec-Websocket-Protocol"], ",")
			if strings.Contains(sent, access) != (c.path == "/keeps") {
				t.Errorf("%s%s: the upstream was offered %q", name, c.path, sent)
			}
		}
	}
	access, _ := plain.Login()
	conn, _, err := plain.DialPath("/", []string{"bearer", access})
	if err != nil || conn.Subprotocol() != "bearer" {
		t.Fatalf("got %v, want %q", err, "bearer")
	}
	plain.WantEcho(conn, "hello")
}

// handshakeFor returns a handshake that offers subprotocols.
func handshakeFor(t *testing.T, url string, offer []string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range slices.Concat(upgradeLines, []string{"Sec-WebSocket-Protocol: " + strings.Join(offer, ", ")}) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}
