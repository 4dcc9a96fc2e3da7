package attack

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"wsauth"
	"wsauth/internal/wsframe"
)

// rawHandler writes a response by hand, in pieces of n bytes, with additional
// header lines. After the response, it writes one message.
func rawHandler(n int, status string, lines ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		head := "HTTP/1.1 " + status + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			wsframe.AcceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
		for all := []byte(strings.Replace(head, "\r\n\r\n\r\n", "\r\n\r\n", 1) + "\x81\x05hello"); len(all) > 0; {
			size := min(n, len(all))
			if m, err := conn.Write(all[:size]); m != size || err != nil {
				return
			}
			all = all[size:]
		}
		if strings.HasPrefix(status, "101 ") {
			_, _ = io.Copy(io.Discard, conn)
		}
	})
}

// opening returns a handler that opens a socket and selects no subprotocol.
func opening(t *testing.T, accept func(http.ResponseWriter, *http.Request, ...string) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := accept(w, r); err != nil {
			t.Error(err)
		}
	})
}

// TestMarkerIsSelected checks that the guard selects the marker of a token if
// the handler selects nothing and the client offers nothing else. Browsers
// would otherwise close the socket. The guard never selects a token, nor a
// subprotocol that the handler could have selected.
func TestMarkerIsSelected(t *testing.T) {
	tok := access(t)
	handlers := map[string]http.Handler{
		"one byte":      rawHandler(1, "101 Switching Protocols"),
		"pieces":        rawHandler(7, "101 Switching Protocols"),
		"at once":       rawHandler(1<<16, "101 Switching Protocols"),
		"more fields":   rawHandler(50, "101 Switching Protocols", "X-A: Sec-WebSocket-Protocol: chat", "X-Sec-WebSocket-Protocol: chat"),
		"selects it":    rawHandler(9, "101 Switching Protocols", "sec-websocket-PROTOCOL: bearer"),
		"selects chat":  rawHandler(9, "101 Switching Protocols", "Sec-WebSocket-Protocol: chat"),
		"plain":         rawHandler(9, "200 OK"),
		"not a browser": rawHandler(9, "400 101 Switching"),
	}
	for library, accept := range upgraders {
		handlers[library] = opening(t, accept)
	}
	backend := httptest.NewServer(handlers["coder"])
	defer backend.Close()
	address := must(url.Parse(backend.URL))
	handlers["ReverseProxy"] = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(address) }}
	for name, handler := range handlers {
		for _, keep := range []bool{false, true} {
			guard, err := wsauth.New(wsauth.Config{
				Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Subprotocol{}, wsauth.Subprotocol{Prefix: k8sPrefix}}, KeepCredential: keep,
			})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(guard.Require(wsauth.Access)(handler))
			x := &target{addr: server.Listener.Addr().String()}
			for offer, want := range map[string]string{
				"bearer, " + tok:              "bearer",
				"bearer," + tok + ",,":        "bearer",
				"bearer, " + tok + ", v2":     "",
				"v2, bearer, " + tok:          "",
				k8sPrefix + b64(tok):          "",
				k8sPrefix + b64(tok) + ", v2": "",
			} {
				switch name {
				case "selects it":
					want = "bearer"
				case "selects chat":
					want = "chat"
				case "plain", "not a browser":
					want = ""
				}
				a := x.send(t, upgrade("/", "Sec-WebSocket-Protocol: "+offer))
				if got := a.Header["Sec-Websocket-Protocol"]; strings.Join(got, "|") != want || strings.Contains(a.head, tok) {
					t.Errorf("%s, keep %v, %.30s: selected %q, want %q\n%s", name, keep, offer, got, want, a.head)
				}
				if a.StatusCode == http.StatusSwitchingProtocols && strings.HasPrefix(name, "one byte") {
					message := make([]byte, 7)
					if _, err := io.ReadFull(a.in, message); err != nil || string(message) != "\x81\x05hello" {
						t.Errorf("%s: then got %q, %v", name, message, err)
					}
				}
				a.conn.Close()
			}
			// With another credential, only the handler selects a subprotocol.
			a := x.send(t, upgrade("/", bearer(tok), "Sec-WebSocket-Protocol: v2"))
			if got := a.Header["Sec-Websocket-Protocol"]; got != nil && !strings.HasPrefix(name, "selects") {
				t.Errorf("%s: selected %q, want nothing", name, got)
			}
			a.conn.Close()
			if err := guard.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			server.Close()
		}
	}
}

// TestRefusalSelectsNoToken checks that a socket that is opened only to be
// closed selects the token's marker and never the token, even if handlers may
// see the token.
func TestRefusalSelectsNoToken(t *testing.T) {
	const bad = "a-short-token"
	for _, keep := range []bool{false, true} {
		guard, err := wsauth.New(wsauth.Config{
			Verifier: newVerifier(t, 0), Refusal: wsauth.RefuseClose, KeepCredential: keep,
			Extractors: []wsauth.Extractor{wsauth.Subprotocol{}, wsauth.Subprotocol{Prefix: "tok."}},
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(guard.Require(wsauth.Access)(http.NotFoundHandler()))
		x := &target{addr: server.Listener.Addr().String()}
		for offer, want := range map[string]string{
			"bearer, " + bad:                            "bearer",
			"bearer, " + bad + ", chat":                 "bearer",
			"chat, bearer, " + bad:                      "chat",
			"tok." + bad:                                "",
			"tok." + bad + ", chat":                     "chat",
			"tok." + bad + ", tok." + bad + "x":         "",
			"bearer, " + bad + ", bearer, " + bad + "x": "bearer",
		} {
			a := x.send(t, upgrade("/", "Sec-WebSocket-Protocol: "+offer))
			if got := strings.Join(a.Header["Sec-Websocket-Protocol"], "|"); a.StatusCode != http.StatusSwitchingProtocols || got != want {
				t.Errorf("keep %v, %s: %d, selected %q, want %q", keep, offer, a.StatusCode, got, want)
			}
			a.conn.Close()
		}
		if err := guard.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

// TestMarkerForClients checks that clients that verify the selected subprotocol
// accept the marker.
func TestMarkerForClients(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Subprotocol{}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(guard.Require(wsauth.Access)(opening(t, upgraders["gorilla"])))
	defer server.Close()
	tok := access(t)
	conn, _, err := coder.Dial(t.Context(), server.URL, &coder.DialOptions{Subprotocols: []string{"bearer", tok}})
	if err != nil || conn.Subprotocol() != "bearer" {
		t.Fatalf("coder: %v", err)
	}
	dialer := gorilla.Dialer{Subprotocols: []string{"bearer", tok}, HandshakeTimeout: 20 * time.Second}
	other, _, err := dialer.Dial(strings.Replace(server.URL, "http", "ws", 1), nil)
	if err != nil || other.Subprotocol() != "bearer" {
		t.Fatalf("gorilla: %v", err)
	}
	// Shutdown would wait for clients that do not answer a close frame.
	_ = conn.CloseNow()
	_ = other.Close()
	if err := guard.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
