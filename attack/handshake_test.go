package attack

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
)

// alteredHandshake returns a good handshake with one text replaced.
func alteredHandshake(t *testing.T, tok, old, new string) string {
	t.Helper()
	raw := upgrade("/access", bearer(tok))
	if !strings.Contains(raw, old) {
		t.Fatalf("%q is not in the handshake", old)
	}
	return strings.Replace(raw, old, new, 1)
}

// TestHandshake checks that malformed handshakes are refused with the right
// reason, and that unusual valid ones open a socket.
func TestHandshake(t *testing.T) {
	tok := access(t)
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0)})
	const (
		versionLine    = "Sec-WebSocket-Version: 13\r\n"
		keyLine        = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		upgradeLine    = "Upgrade: websocket\r\n"
		connectionLine = "Connection: Upgrade\r\n"
		hostLine       = "Host: app.example\r\n"
		requestLine    = "GET /access HTTP/1.1\r\n"
		good           = wsauth.Reason("")
	)
	for _, c := range []struct {
		name, old, new string
		want           wsauth.Reason
	}{
		{"H1/version_8", versionLine, "Sec-WebSocket-Version: 8\r\n", wsauth.VersionNotSupported},
		{"H1/version_list", versionLine, "Sec-WebSocket-Version: 13, 8\r\n", wsauth.VersionNotSupported},
		{"H1/version_013", versionLine, "Sec-WebSocket-Version: 013\r\n", wsauth.VersionNotSupported},
		{"H1/version_missing", versionLine, "", wsauth.VersionNotSupported},
		{"H1/version_empty", versionLine, "Sec-WebSocket-Version:\r\n", wsauth.VersionNotSupported},
		{"H1/version_twice", versionLine, versionLine + versionLine, wsauth.VersionNotSupported},
		{"H1/version_twice_differing", versionLine, versionLine + "Sec-WebSocket-Version: 8\r\n", wsauth.VersionNotSupported},
		{"H2/key_missing", keyLine, "", wsauth.InvalidHandshake},
		{"H2/key_empty", keyLine, "Sec-WebSocket-Key:\r\n", wsauth.InvalidHandshake},
		{"H2/key_of_15_bytes", keyLine, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", wsauth.InvalidHandshake},
		{"H2/key_of_17_bytes", keyLine, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n", wsauth.InvalidHandshake},
		{"H2/key_not_base64", keyLine, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n", wsauth.InvalidHandshake},
		{"H2/key_base64url", keyLine, "Sec-WebSocket-Key: _____________________w==\r\n", wsauth.InvalidHandshake},
		{"H2/key_unpadded", keyLine, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", wsauth.InvalidHandshake},
		{"H2/key_twice", keyLine, keyLine + keyLine, wsauth.InvalidHandshake},
		{"H2/key_twice_differing", keyLine, keyLine + "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n", wsauth.InvalidHandshake},
		{"H3/post", "GET", "POST", wsauth.MethodNotAllowed},
		{"H3/connect", "GET", "CONNECT", wsauth.MethodNotAllowed},
		{"H3/put", "GET", "PUT", wsauth.MethodNotAllowed},
		{"H3/options", "GET", "OPTIONS", wsauth.MethodNotAllowed},
		{"H3/trace", "GET", "TRACE", wsauth.MethodNotAllowed},
		{"H3/lower_case", "GET", "get", wsauth.MethodNotAllowed},
		{"H3/connect_without_upgrade", requestLine + hostLine + upgradeLine, "CONNECT /access HTTP/1.1\r\n" + hostLine, wsauth.MethodNotAllowed},
		{"H4/http_1.0", "HTTP/1.1", "HTTP/1.0", wsauth.InvalidHandshake},
		{"H5/upper_case", "websocket", "WebSocket", good},
		{"H5/websocketx", "websocket", "websocketx", wsauth.InvalidHandshake},
		{"H5/list", "websocket", "websocket, h2c", wsauth.InvalidHandshake},
		{"H5/list_reversed", "websocket", "h2c, websocket", wsauth.InvalidHandshake},
		{"H5/two_lines", upgradeLine, upgradeLine + "Upgrade: h2c\r\n", wsauth.InvalidHandshake},
		{"H5/with_version", "websocket", "websocket/13", wsauth.InvalidHandshake},
		{"H5/empty", upgradeLine, "Upgrade:\r\n", wsauth.InvalidHandshake},
		{"H6/list", connectionLine, "Connection: keep-alive, Upgrade\r\n", good},
		{"H6/two_lines", connectionLine, "Connection: keep-alive\r\nConnection: upgrade\r\n", good},
		{"H6/other", connectionLine, "Connection: keep-alive\r\n", wsauth.InvalidHandshake},
		{"H6/missing", connectionLine, "", wsauth.InvalidHandshake},
		{"H6/prefix", connectionLine, "Connection: upgrades\r\n", wsauth.InvalidHandshake},
		{"H7/content_length", upgradeLine, upgradeLine + "Content-Length: 5\r\n", wsauth.InvalidHandshake},
		{"H7/content_length_0", upgradeLine, upgradeLine + "Content-Length: 0\r\n", good},
		{"H7/chunked", upgradeLine, upgradeLine + "Transfer-Encoding: chunked\r\n", wsauth.InvalidHandshake},
		{"H8/both_lengths", upgradeLine, upgradeLine + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", wsauth.InvalidHandshake},
		{"H12/absolute_form", requestLine, "GET http://app.example/access HTTP/1.1\r\n", wsauth.InvalidHandshake},
		{"H12/absolute_form_of_another_host", requestLine, "GET http://evil.example/access HTTP/1.1\r\n", wsauth.InvalidHandshake},
		{"H12/asterisk", requestLine, "GET * HTTP/1.1\r\n", "net/http"},
		{"H12/url_in_the_query", requestLine, "GET /access?next=http://app.example/ HTTP/1.1\r\n", good},
		{"H12/host_empty", hostLine, "Host:\r\n", wsauth.InvalidHandshake},
		{"H13/bogus_extension", upgradeLine, upgradeLine + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99; x=\"\x01\", ;;\r\n", wsauth.Reason("net/http")},
		{"H13/bogus_parameters", upgradeLine, upgradeLine + "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99; x=y, ;;, bogus\r\n", good},
		// net/http refuses these.
		{"H8/space_before_colon", upgradeLine, "Upgrade : websocket\r\n", "net/http"},
		{"H8/unknown_encoding", upgradeLine, upgradeLine + "Transfer-Encoding: xchunked\r\n", "net/http"},
		{"H8/two_lengths", upgradeLine, upgradeLine + "Content-Length: 0\r\nContent-Length: 5\r\n", "net/http"},
		{"H12/host_missing", hostLine, "", "net/http"},
		{"H12/host_twice", hostLine, hostLine + "Host: evil.example\r\n", "net/http"},
		{"H12/host_with_path", hostLine, "Host: app.example/x\r\n", "net/http"},
		// net/http accepts these. The guard must treat them like the usual
		// form.
		{"H8/bare_lf", upgradeLine, "Upgrade: websocket\n", good},
		{"H8/bare_lf_version", versionLine, "Sec-WebSocket-Version: 8\n", wsauth.VersionNotSupported},
		{"H8/folded_token", "Bearer " + tok, "Bearer\r\n " + tok, good},
		{"H8/folded_second_token", "Bearer " + tok, "Bearer " + tok + "\r\n " + tok, wsauth.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := x.send(t, alteredHandshake(t, tok, c.old, c.new))
			switch c.want {
			case good:
				x.wantSuccess(t, a)
				return
			case "net/http":
				if a.StatusCode < 400 || !a.Close {
					t.Errorf("status %d, connection closes: %t", a.StatusCode, a.Close)
				}
				x.wantSilence(t, a, tok)
				return
			}
			x.wantRefusal(t, a, c.want, pieces(tok)...)
			if !a.Close {
				t.Error("the connection stays open after a refused handshake")
			}
			if got := a.Header.Get("Sec-WebSocket-Version"); (got == "13") != (c.want == wsauth.VersionNotSupported) {
				t.Errorf("Sec-WebSocket-Version: %q", got)
			}
			if got := a.Header.Get("Allow"); (got == "GET") != (c.want == wsauth.MethodNotAllowed) {
				t.Errorf("Allow: %q", got)
			}
		})
	}
	t.Run("H3/head", func(t *testing.T) {
		a := x.send(t, alteredHandshake(t, tok, "GET", "HEAD"))
		if a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET" {
			t.Errorf("status %d\n%s", a.StatusCode, a.head)
		}
		x.wantSilence(t, a, pieces(tok)...)
	})
}

// TestMalformedHandshakeGetsNoSocket checks that RefuseClose opens sockets
// only to explain a refusal to a page of an allowed origin.
func TestMalformedHandshakeGetsNoSocket(t *testing.T) {
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Refusal: wsauth.RefuseClose})
	tok := access(t)
	x.wantRefusals(t, []refusalCase{
		{"H1/version", alteredHandshake(t, tok, "Version: 13", "Version: 8"), wsauth.VersionNotSupported},
		{"H2/key", alteredHandshake(t, tok, "dGhl", "!!!!"), wsauth.InvalidHandshake},
		{"H3/post", alteredHandshake(t, tok, "GET", "POST"), wsauth.MethodNotAllowed},
		{"H7/body", alteredHandshake(t, tok, "\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n"), wsauth.InvalidHandshake},
		{"C3/origin", upgrade("/access", bearer(tok), "Origin: https://evil.example"), wsauth.OriginNotAllowed},
		{"C3/origin_without_token", upgrade("/access", "Origin: https://evil.example"), wsauth.OriginNotAllowed},
		{"T12/plain_request", plain("GET", "/access"), wsauth.TokenMissing},
	})
}

// TestPipelined checks that further bytes in the packet of a handshake are
// treated neither as a request nor as a frame (H9).
func TestPipelined(t *testing.T) {
	tok := access(t)
	second := plain("GET", "/access", bearer(tok))
	frame := "\x81\x85\x01\x02\x03\x04ignor"
	for name, c := range map[string]struct {
		refusal wsauth.Refusal
		raw     string
		want    string // the beginning of the only answer
	}{
		"H9/request_after_refusal":           {wsauth.RefuseHTTP, upgrade("/access") + second, "HTTP/1.1 401 "},
		"H9/request_after_refusal_by_close":  {wsauth.RefuseClose, upgrade("/access") + second, "HTTP/1.1 101 "},
		"H9/request_after_bad_handshake":     {wsauth.RefuseHTTP, alteredHandshake(t, tok, "13", "8") + second, "HTTP/1.1 426 "},
		"H9/request_after_foreign_origin":    {wsauth.RefuseClose, upgrade("/access", bearer(tok), "Origin: https://evil.example") + second, "HTTP/1.1 403 "},
		"H9/request_after_body":              {wsauth.RefuseHTTP, alteredHandshake(t, tok, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nxx") + second, "HTTP/1.1 400 "},
		"H9/request_after_success":           {wsauth.RefuseHTTP, upgrade("/access", bearer(tok)) + second, "HTTP/1.1 400 "},
		"H9/request_after_success_by_close":  {wsauth.RefuseClose, upgrade("/access", bearer(tok)) + second, "HTTP/1.1 400 "},
		"H9/frame_after_success":             {wsauth.RefuseHTTP, upgrade("/access", bearer(tok)) + frame, "HTTP/1.1 400 "},
		"H9/one_byte_after_success":          {wsauth.RefuseHTTP, upgrade("/access", bearer(tok)) + "\x81", "HTTP/1.1 400 "},
		"H9/frame_after_refusal":             {wsauth.RefuseHTTP, upgrade("/access") + frame, "HTTP/1.1 401 "},
		"H9/many_requests_after_the_refusal": {wsauth.RefuseHTTP, upgrade("/access") + strings.Repeat(second, 50), "HTTP/1.1 401 "},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Refusal: c.refusal})
			conn := dial(t, x.addr)
			if _, err := io.WriteString(conn, c.raw); err != nil {
				t.Fatal(err)
			}
			// The connection may be reset after the answer.
			all, _ := io.ReadAll(conn)
			if !strings.HasPrefix(string(all), c.want) || strings.Count(string(all), "HTTP/1.1 ") != 1 {
				t.Errorf("got %q, want one answer that begins with %q", all, c.want)
			}
			if seen := x.takeRequests(); len(seen) != 0 {
				t.Errorf("the handler was called: %q", seen)
			}
		})
	}
}

// TestHTTP2 checks that no socket opens over HTTP/2 (H14). HTTP/2 has no
// Upgrade, and its CONNECT is refused.
func TestHTTP2(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	})))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	tok := access(t)
	for _, c := range []struct {
		name, method, authorization string
		status                      int
	}{
		{"H14/connect", "CONNECT", "Bearer " + tok, 405},
		{"H14/get", "GET", "Bearer " + tok, 200},
		{"H14/get_without_token", "GET", "", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+"/access", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", c.authorization)
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.ProtoMajor != 2 || response.StatusCode != c.status || c.status == 200 && string(body) != "HTTP/2.0" {
				t.Errorf("got %s %s %q, %v, want HTTP/2 and %d", response.Proto, response.Status, body, err, c.status)
			}
		})
	}
	t.Run("H14/upgrade_fields", func(t *testing.T) { // net/http refuses these fields
		r := request(t, upgrade("/access", bearer(tok)))
		r.Proto, r.ProtoMajor, r.ProtoMinor, r.TLS = "HTTP/2.0", 2, 0, &tls.ConnectionState{}
		if _, err := guard.Check(r, wsauth.Access); reasonOf(err) != wsauth.InvalidHandshake {
			t.Errorf("Check: %v", err)
		}
	})
}

// TestOracle checks that all tokens without a valid signature get the same
// answer (H15). Only the answer to a token with a valid signature may differ.
func TestOracle(t *testing.T) {
	payloads := map[string]string{
		"known": claims(), "unknown": claims("sub", `"nobody"`), "expired": claims("exp", "1000000000"), "other_audience": claims("aud", `"x"`),
		"refresh": claims("type", `"refresh"`), "nothing": "{}", "not_json": "x", "admin": claims("sub", `"admin"`, "fresh", "false"),
	}
	for _, p := range carriers {
		x := newTarget(t, carrierConfig(t, p))
		first := ""
		for name, payload := range payloads {
			a := x.send(t, p.request(compact(head("HS256", "hs", ""), payload, macSigner([]byte("wrong"))), true))
			x.wantRefusal(t, a, wsauth.TokenInvalid)
			if got := a.head + "\r\n\r\n" + a.body; first == "" {
				first = got
			} else if got != first {
				t.Errorf("H15/%s/%s: answered\n%s\nnot\n%s", p.name, name, got, first)
			}
		}
	}
}

// TestSlowHeads checks that connections whose headers arrive byte by byte are
// closed after five seconds and delay no others (H10). The server must set the
// timeouts; a guard cannot.
func TestSlowHeads(t *testing.T) {
	const slow = 5000
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	synctest.Test(t, func(t *testing.T) {
		tok := access(t)
		l := wstest.NewPipes()
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
		go server.Serve(l) //nolint:errcheck // It ends with Close.
		started := time.Now()
		cut := make(chan time.Duration, slow)
		var writers sync.WaitGroup
		for range slow {
			conn := l.Dial("")
			writers.Go(func() {
				for _, c := range []byte(upgrade("/access", bearer(tok))) {
					if _, err := conn.Write([]byte{c}); err != nil {
						return
					}
					time.Sleep(5 * time.Second)
				}
			})
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				cut <- time.Since(started)
				conn.Close()
			}()
		}
		time.Sleep(2 * time.Second)
		a := ask(t, l.Dial(""), plain("GET", "/access", bearer(tok), "Connection: close"))
		if a.StatusCode != http.StatusOK || time.Since(started) != 2*time.Second {
			t.Errorf("H10/others: status %d after %s", a.StatusCode, time.Since(started))
		}
		for range slow {
			if after := <-cut; after < 5*time.Second || after > 6*time.Second { // net/http waits half a second before it closes
				t.Errorf("H10/slow: cut after %s", after)
			}
		}
		writers.Wait()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
