package wsclient

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestAnswersToAHandshake checks that a response that opens no socket is
// explained, with possible causes.
func TestAnswersToAHandshake(t *testing.T) {
	redirect := func(status int, to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", to); w.WriteHeader(status) }
	}
	field := func(status int, name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(name, value); w.WriteHeader(status) }
	}
	const problem = "application/problem+json"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    []string
		not     string
	}{
		"page":         {answer(200, "text/html", "<h1>secretsecret</h1>"), []string{"the server opened no WebSocket: it answered the handshake with 200 OK", "hint:       a page or an API answers at /ws, no WebSocket server: check the path"}, "refused"},
		"API":          {answer(200, "application/json", "{}"), []string{"answers at /ws, no WebSocket server"}, "refused"},
		"no content":   {answer(204, "text/plain", ""), []string{"answered the handshake with 204 No Content", "no WebSocket server"}, "refused"},
		"moved":        {redirect(301, "/ws/?token=secretsecret"), []string{"it answered the handshake with 301 Moved Permanently", "connect to ws://127.0.0.1:", "/ws/"}, "refused"},
		"to TLS":       {redirect(307, "https://app.example/ws"), []string{"it redirects to https://app.example/ws; credentials are not sent there automatically", "if that is the server you mean, connect to wss://app.example/ws"}, ""},
		"permanently":  {redirect(308, "https://ada:secretsecret@app.example/ws#secretsecret"), []string{"connect to wss://app.example/ws"}, ""},
		"to a login":   {redirect(302, "/login?next=secretsecret"), []string{"302 Found", "it redirects to another page: the path may be wrong, or the server may require a login first"}, ""},
		"nowhere":      {redirect(303, ""), []string{"303 See Other"}, "hint"},
		"unauthorized": {answer(401, "text/plain", "no"), []string{"401 Unauthorized", "it means:   no", "no credential was sent: log in with --user=NAME, or give a token with --token-file=FILE"}, ""},
		"our 401":      {answer(401, problem, `{"reason":"token_missing","detail":"Missing"}`), []string{"no credential was sent"}, ""},
		"basic":        {field(401, "WWW-Authenticate", `Basic realm="x"`), []string{"the server asks for HTTP Basic: send it with --header='Authorization: Basic …'"}, ""},
		"forbidden":    {answer(403, "text/html", ""), []string{"may want the Origin of a page (--origin) or a credential"}, ""},
		"our 403":      {answer(403, problem, `{"reason":"origin_not_allowed"}`), []string{"origin_not_allowed"}, "hint"},
		"not found":    {answer(404, "text/html", ""), []string{"the server refused the handshake: 404 Not Found", "there is nothing at /ws: check the path"}, ""},
		"our 404":      {answer(404, problem, `{"reason":"not_found"}`), []string{"there is nothing at /ws"}, ""},
		"method":       {answer(405, "text/plain", ""), []string{"/ws does not accept GET, so it serves no WebSocket"}, ""},
		"upgrade":      {answer(426, "text/plain", "Upgrade Required"), []string{"426 Upgrade Required", "received no request for a WebSocket: a proxy in front must forward Upgrade and Connection"}, ""},
		"version":      {field(426, "Sec-WebSocket-Version", "8, 7"), []string{"takes version 8, 7 of the protocol, and not 13"}, ""},
		"proxy":        {answer(502, "text/html", ""), []string{"the answer is from a proxy that cannot reach the server behind it"}, ""},
		"our 502":      {answer(502, problem, `{"reason":"bad_gateway"}`), []string{"bad_gateway"}, "hint"},
		"nginx":        {answer(400, "text/html", "<title>400 The plain HTTP request was sent to HTTPS port</title>"), []string{"the server speaks TLS on this port: use wss://"}, ""},
		"bad":          {answer(400, "text/plain", "no"), []string{"400 Bad Request"}, "hint"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]http.HandlerFunc{"/ws": c.handler})
			err := r.run()
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secretsecret") || c.not != "" && strings.Contains(err.Error(), c.not) {
				t.Errorf("%v", err)
			}
			r.config.Report.JSON = true
			_ = r.run()
			if out := r.out.String(); strings.Contains(out, `"hint":`) != (refusal.Hint != "") {
				t.Errorf("%q: got %s", refusal.Hint, out)
			}
		})
	}
}

// TestNoCredentialHint checks that a client that sent a credential gets no
// advice to send one.
func TestNoCredentialHint(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"token":  func(c *Config) { c.Token, c.Via = "secretsecret", Via{InHeader, "Authorization"} },
		"header": func(c *Config) { c.Header = http.Header{"Authorization": {"Bearer secretsecret"}} },
		"cookie": func(c *Config) { c.Header = http.Header{"Cookie": {"a=b"}} },
	} {
		r := newRig(t, map[string]http.HandlerFunc{"/ws": answer(401, "text/plain", "")})
		change(&r.config)
		if err := r.run(); err == nil || strings.Contains(err.Error(), "hint") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// listenRaw answers each connection with the given bytes, once the client has
// sent any.
func listenRaw(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, reply)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// TestServersThatCannotBeReached checks that an error of the connection is
// explained, for a login and for a handshake.
func TestServersThatCannotBeReached(t *testing.T) {
	gone := listenRaw(t, "")
	closed, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	plain, secure := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	for name, c := range map[string]struct{ socket, want string }{
		"refused":          {"ws://" + closed.Addr().String(), "hint:       is the server running, and is this its port?"},
		"TLS to plain":     {"wss://" + host(plain), "hint:       the server does not speak TLS on this port: use ws:// (or http://)"},
		"TLS to another":   {"wss://" + listenRaw(t, "SSH-2.0-x\r\n"), "hint:       the server does not speak TLS on this port"},
		"plain to TLS":     {"ws://" + host(secure), "hint:       the server speaks TLS on this port: use wss://"},
		"plain to OpenSSL": {"ws://" + listenRaw(t, "\x15\x03\x01\x00\x02\x02\x46\n"), "hint:       the server speaks TLS on this port: use wss://"},
		"not HTTP":         {"ws://" + listenRaw(t, "SSH-2.0-x"+strings.Repeat("y", 2000)+"\r\n"), "hint:       the program that answers there is not an HTTP server: check the port"},
		"hung up":          {"ws://" + gone, "hint:       the server closed the connection without an answer: if it speaks TLS on this port, use wss://"},
		"untrusted":        {"wss://" + host(secure), "hint:       --ca=FILE trusts the issuer of a test server, --insecure-skip-verify anybody"},
	} {
		for _, user := range []string{"", "ada"} {
			t.Run(strings.TrimSpace(name+" "+user), func(t *testing.T) {
				r := newRig(t, nil)
				r.config.User, r.config.InsecurePlaintext = user, true
				if r.config.Target, err = ParseTarget(c.socket+"/ws?x=secretsecret", "/auth"); err != nil {
					t.Fatal(err)
				}
				r.config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
				r.config.Report.JSON = true
				err := r.run()
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secretsecret") || len(err.Error()) > 1000 {
					t.Errorf("%v; want %q", err, c.want)
				}
				if out := r.out.String(); !strings.Contains(out, `"hint":"`) {
					t.Error(out)
				}
			})
		}
	}
}

// TestHintsOfDialErrors checks the hints for errors that a test cannot cause.
func TestHintsOfDialErrors(t *testing.T) {
	u := &url.URL{Scheme: "https", Host: "app.example"}
	for want, err := range map[string]error{
		"check the spelling":                                                         &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}},
		"check the network and the resolver":                                         &net.DNSError{Err: "server misbehaving", IsTemporary: true},
		"the proxy is set by HTTP_PROXY or HTTPS_PROXY":                              &net.OpError{Op: "proxyconnect", Err: errors.New("connection refused")},
		"the server asks for a certificate of the client, and this command has none": tls.AlertError(116),
	} {
		if got := hintOfDial(u, err); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// TestBasicTogetherWithALogin checks that HTTP Basic credentials for a proxy in
// front are sent with each request that has no token in the same field, and
// never together with a token.
func TestBasicTogetherWithALogin(t *testing.T) {
	seen := map[string][]string{}
	record := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen[r.URL.Path] = append(r.Header["Authorization"], r.Header["Cookie"]...)
			next(w, r)
		}
	}
	handlers := map[string]http.HandlerFunc{"/ws": record(answer(404, "text/plain", ""))}
	for pattern, handler := range logins("900") {
		handlers[pattern] = record(handler)
	}
	const basic = "Basic YWRhOng="
	for name, c := range map[string]struct {
		authorization string
		login, socket string
	}{
		"basic":  {basic, basic, basic},
		"bearer": {"bearer secretsecret", "", "bearer secretsecret"},
	} {
		t.Run(name, func(t *testing.T) {
			clear(seen)
			r := newRig(t, handlers)
			r.config.User, r.config.Via = "ada", Via{InTicket, "ticket"}
			r.config.Header = http.Header{"Authorization": {c.authorization}, "Cookie": {"sso=1; access_token_cookie=x; __Host-access_token_cookie=y"}}
			_ = r.run()
			for path, want := range map[string]string{"/auth/login": c.login, "/auth/ticket": "Bearer " + firstAccess, "/auth/logout": "Bearer " + firstAccess, "/ws": c.socket} {
				got := strings.Join(seen[path], "|")
				all := []string{want, "sso=1"}
				if path == "/ws" {
					all[1] = "sso=1; access_token_cookie=x; __Host-access_token_cookie=y"
				}
				if want == "" {
					all = all[1:]
				}
				if got != strings.Join(all, "|") {
					t.Errorf("%s: %q, want %q", path, got, all)
				}
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		handlers := logins("900")
		handlers["POST /auth/ticket"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		r := newRig(t, handlers)
		r.config.User, r.config.Via = "ada", Via{InTicket, "ticket"}
		r.config.Header = http.Header{"Authorization": {basic}}
		if err := r.run(); err == nil || !strings.Contains(err.Error(), "the token of the login needs the Authorization field: exempt /auth/ticket from HTTP Basic") {
			t.Error(err)
		}
	})
}

// TestProxyRefuses checks that the response of a proxy is distinguished from
// the server's.
func TestProxyRefuses(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword("ada", "secretsecret")}
	if err := onProxyConnect(t.Context(), proxy, nil, &http.Response{StatusCode: 200}); err != nil {
		t.Error(err)
	}
	refusal := onProxyConnect(t.Context(), proxy, nil, &http.Response{StatusCode: 407})
	err := unreachable("handshake with", &url.URL{Scheme: "https", Host: "app.example"}, refusal)
	want := "handshake with app.example: the proxy proxy.example:3128 refuses to connect: 407 Proxy Authentication Required\nhint:       the proxy is set by HTTP_PROXY or HTTPS_PROXY"
	if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, want %s", err, want)
	}
}
