package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/token"
)

// TestCanary checks that no refusal, of any kind and for any carrier, puts the
// token into the answer or the log (R6).
func TestCanary(t *testing.T) {
	good, now := signed(claims()), time.Now().Round(0)
	for name, c := range map[string]struct {
		token  string
		change func(*wsauth.Config)
		want   wsauth.Reason
	}{
		"signature":  {compact(head("HS256", "hs", ""), claims(), macSigner([]byte("x"))), nil, wsauth.TokenInvalid},
		"expired":    {signed(claims("exp", "1000000000")), nil, wsauth.TokenExpired},
		"wrong_type": {signed(claims("type", `"refresh"`)), nil, wsauth.WrongTokenType},
		"revoked": {good, func(c *wsauth.Config) {
			c.Denylist = func(context.Context, *token.Claims) (bool, error) { return true, nil }
		}, wsauth.TokenRevoked},
		"store_down": {good, func(c *wsauth.Config) {
			c.Denylist = func(context.Context, *token.Claims) (bool, error) { return false, errors.New("down") }
		}, wsauth.StoreUnavailable},
		"denied": {good, func(c *wsauth.Config) {
			c.Authorize = func(*http.Request, *token.Claims) error { return errors.New("no") }
		}, wsauth.NotAuthorized},
		"no_verifier": {good, func(c *wsauth.Config) { c.Verifier = brokenVerifier{} }, wsauth.StoreUnavailable},
		"origin":      {good, func(c *wsauth.Config) { c.Origins = []string{"https://other.example"} }, wsauth.OriginNotAllowed},
	} {
		for _, p := range carriers {
			for refusalName, refusal := range map[string]wsauth.Refusal{"http": wsauth.RefuseHTTP, "close": wsauth.RefuseClose} {
				t.Run("R6/"+name+"/"+p.name+"/"+refusalName, func(t *testing.T) {
					inBubble(t, func() wsauth.Config { // in a bubble, refused sockets that are held open cost no time
						time.Sleep(time.Until(now)) // until the tokens are valid
						config := carrierConfig(t, p)
						config.Refusal = refusal
						if c.change != nil {
							c.change(&config)
						}
						return config
					}, func(t *testing.T, x *bubble) {
						a := x.ask(t, "", p.request(c.token, true))
						if refusal == wsauth.RefuseHTTP || c.want == wsauth.OriginNotAllowed {
							x.wantRefusal(t, a, c.want, pieces(c.token)...)
							return
						}
						code, reason := a.closeFrame(t)
						if code != c.want.Outcome().Code || reason != string(c.want) {
							t.Errorf("closed with %d %q", code, reason)
						}
						x.wantSilence(t, a, pieces(c.token)...)
					})
				})
			}
		}
	}
}

type brokenVerifier struct{}

func (brokenVerifier) Verify(context.Context, string) (*token.Claims, error) {
	return nil, errors.New("the key server does not answer")
}

// TestCanaryAfterwards checks that a token is not in the log after its socket
// was open, after the guard has shut down, and after a handler has panicked
// (R6).
func TestCanaryAfterwards(t *testing.T) {
	tok := signed(claims())
	for _, p := range carriers {
		t.Run("R6/"+p.name, func(t *testing.T) {
			x := newTarget(t, carrierConfig(t, p))
			a := x.send(t, p.request(tok, true))
			if a.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("status %d: %s", a.StatusCode, a.body)
			}
			ended := make(chan error, 1)
			go func() { ended <- x.guard.Shutdown(context.Background()) }()
			if code, reason := a.closeFrame(t); code != 1012 || reason != "restarting" {
				t.Errorf("closed with %d %q", code, reason)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			x.takeRequests()
			x.wantSilence(t, a, pieces(tok)...)
			x.wantRefusal(t, x.send(t, p.request(tok, true)), wsauth.Restarting, pieces(tok)...)

			guard, err := wsauth.New(carrierConfig(t, p))
			if err != nil {
				t.Fatal(err)
			}
			panicking := &target{log: new(wstest.Log)}
			mux := http.NewServeMux()
			handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the handler's own words") }))
			mux.Handle("/", handler)
			mux.Handle("/path/{token}", handler)
			server := httptest.NewUnstartedServer(mux)
			server.Config.ErrorLog = log.New(panicking.log, "", 0)
			server.Start()
			panicking.addr = server.Listener.Addr().String()
			conn := dial(t, panicking.addr)
			if _, err := io.WriteString(conn, p.request(tok, true)); err != nil {
				t.Fatal(err)
			}
			if rest, _ := io.ReadAll(conn); len(rest) > 0 { // the connection was reset or closed
				t.Errorf("a panic is answered with %q", rest)
			}
			server.Close()
			logged := panicking.log.Take()
			if !strings.Contains(logged, "the handler's own words") {
				t.Errorf("the panic is not in the log: %q", logged)
			}
			for _, s := range pieces(tok) {
				if strings.Contains(logged, s) {
					t.Errorf("the log has %q:\n%s", s, logged)
				}
			}
		})
	}
}

// TestStripped checks that the handler does not see the credential, and sees
// the rest of the request unchanged. Handlers in front of the guard see the
// whole request.
func TestStripped(t *testing.T) {
	made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	tok, value := made.Raw, made.Claims.CSRF
	all := []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Query{Name: "token"}, wsauth.PathValue{Name: "token"}}
	for name, c := range map[string]struct{ raw, target string }{
		"header": {upgrade("/a%2Fb/x?c=d&e", bearer(tok), "Cookie: f=g"), "/a%2Fb/x?c=d&e"},
		"cookie": {upgrade("/a%2Fb/x?c=d&csrf_token="+value+"&e", "Cookie: f=g; csrf_access_token="+value+"; __Host-access_token_cookie="+tok+"; __Host-refresh_token_cookie="+tok), "/a%2Fb/x?c=d&e"},
		"csrf":   {upgrade("/a%2Fb/x?c=d&e", csrf(value), "Cookie: f=g; __Host-access_token_cookie="+tok), "/a%2Fb/x?c=d&e"},
		"query":  {upgrade("/a%2Fb/x?c=d&token="+tok+"&e", "Cookie: f=g"), "/a%2Fb/x?c=d&e"},
		"path":   {upgrade("/a%2Fb/"+tok+"?c=d&e", "Cookie: f=g"), "/a%2Fb/-?c=d&e"},
	} {
		t.Run("R6/"+name, func(t *testing.T) {
			guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Extractors: all})
			if err != nil {
				t.Fatal(err)
			}
			x := &target{log: new(wstest.Log)}
			mux := http.NewServeMux()
			formSeen := make(chan string, 1)
			inner := guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				formSeen <- r.FormValue("c") + r.Form.Encode() + r.PathValue("token") + r.URL.Path + r.URL.RawPath
				x.handle(w, r)
			}))
			pattern := "/{first}/x"
			if name == "path" {
				pattern = "/{first}/{token}"
			}
			mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				before := visibleFields(r)
				inner.ServeHTTP(w, r)
				if after := visibleFields(r); after != before || !strings.Contains(before, tok) {
					t.Errorf("in front of the guard the request is now\n%s\nand was\n%s", after, before)
				}
			})
			server := httptest.NewServer(mux)
			defer server.Close()
			x.addr = server.Listener.Addr().String()
			a := x.send(t, c.raw)
			if a.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("status %d: %s", a.StatusCode, a.body)
			}
			form := <-formSeen
			seen := x.wantSuccess(t, a) + form
			for _, s := range append(pieces(tok), value) {
				if strings.Contains(seen, s) {
					t.Errorf("the handler sees %q in\n%s", s, seen)
				}
			}
			if !strings.HasPrefix(form, "dc=d&e=") || !strings.Contains(seen, "GET "+c.target+" HTTP/1.1\r\n") || !strings.Contains(seen, "Cookie: f=g\r\n") {
				t.Errorf("the handler does not see the rest: %s", seen)
			}
		})
	}
}

// visibleFields returns the parts of a request that can contain credentials.
func visibleFields(r *http.Request) string {
	var b bytes.Buffer
	_ = r.Header.Write(&b)
	return strings.Join([]string{b.String(), r.RequestURI, r.URL.String(), r.PathValue("token"), r.Form.Encode()}, "\n")
}

// TestNothingIsEchoed checks that an answer repeats nothing of its request
// (R8).
func TestNothingIsEchoed(t *testing.T) {
	const canary = "ZZcanaryZZ"
	lines := []string{"Origin: https://" + canary, "Referer: https://" + canary, "User-Agent: " + canary, "Cookie: " + canary + "=" + canary,
		"X-Forwarded-For: " + canary, "X-Request-Id: " + canary, "Sec-WebSocket-Extensions: " + canary, "Accept: " + canary, "Sec-WebSocket-Protocol: " + canary}
	x := newTarget(t, wsauth.Config{Verifier: newVerifier(t, 0), Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Cookies{}, wsauth.Query{Name: "token"}}})
	for name, c := range map[string]struct {
		raw  string
		want wsauth.Reason
	}{
		"upgrade":     {upgrade("/access?"+canary, lines...), wsauth.OriginNotAllowed},
		"plain":       {plain("GET", "/access?"+canary+"="+canary, lines...), wsauth.TokenMissing},
		"method":      {plain(canary, "/access", lines...), wsauth.TokenMissing},
		"header":      {plain("GET", "/access", append(lines, bearer(canary))...), wsauth.TokenInvalid},
		"scheme":      {plain("GET", "/access", append(lines, "Authorization: "+canary+" x")...), wsauth.TokenMissing},
		"two_headers": {plain("GET", "/access", append(lines, bearer(canary), bearer(canary))...), wsauth.InvalidRequest},
		"query":       {plain("GET", "/access?token="+canary, lines...), wsauth.TokenInvalid},
		"two_params":  {plain("GET", "/access?token="+canary+"&token=", lines...), wsauth.InvalidRequest},
		"cookie":      {plain("GET", "/access", append(lines, cookie(canary))...), wsauth.TokenInvalid},
		"version":     {upgrade("/access", append(lines, "Sec-WebSocket-Version: "+canary)...), wsauth.VersionNotSupported},
		"key":         {upgrade("/access", append(lines, "Sec-WebSocket-Key: "+canary)...), wsauth.InvalidHandshake},
		"kid":         {plain("GET", "/access", append(lines, bearer(compact(head("HS256", canary, ""), claims(), signHS)))...), wsauth.TokenInvalid},
		"alg":         {plain("GET", "/access", append(lines, bearer(compact(head(canary, "hs", ""), claims(), signHS)))...), wsauth.TokenInvalid},
		"sub":         {plain("GET", "/access", append(lines, bearer(signed(claims("sub", `"`+canary+`"`, "type", `"refresh"`))))...), wsauth.WrongTokenType},
		"issuer":      {plain("GET", "/access", append(lines, bearer(signed(claims("iss", `"`+canary+`"`))))...), wsauth.TokenInvalid},
	} {
		t.Run("R8/"+name, func(t *testing.T) {
			a := x.send(t, c.raw)
			x.wantRefusal(t, a, c.want)
			if strings.Contains(a.head+a.body, canary) {
				t.Errorf("answered\n%s\n%s", a.head, a.body)
			}
		})
	}
}

// TestLogLines checks that the log line of a refusal has only printable
// characters, and that a client cannot forge its fields (R5).
func TestLogLines(t *testing.T) {
	tok := func(kid string) string {
		return compact(`{"alg":"HS256","kid":"`+kid+`"}`, claims(), macSigner([]byte("x")))
	}
	for name, line := range map[string]string{
		"kid_quotes":  bearer(tok(`x\" level=ERROR msg=\"forged`)),
		"kid_json":    bearer(tok(`\",\"level\":\"ERROR\",\"x\":\"`)),
		"kid_crlf":    bearer(tok(`x\r\nlevel=ERROR msg=forged`)),
		"kid_nul":     bearer(tok(`x\u0000`)),
		"kid_ansi":    bearer(tok(`\u001b[2J\u001b[31mforged`)),
		"kid_c1":      bearer(tok(`\u009b2J`)),
		"kid_bidi":    bearer(tok(`\u202eforged`)),
		"kid_unicode": bearer(tok(`ключ😀`)),
		"kid_long":    bearer(tok(strings.Repeat("k", 256))),
		"alg":         bearer(compact(`{"alg":"x\r\nlevel=ERROR"}`, claims(), signHS)),
		"sub":         bearer(signed(claims("sub", `"a\r\nlevel=ERROR"`))),
		"origin":      "Origin: https://x\" level=ERROR msg=\"forged",
		"origin_c1":   "Origin: https://x\u009b2J\u202e",
		"agent":       "User-Agent: x\" level=ERROR \u009b2J",
	} {
		t.Run("R5/"+name, func(t *testing.T) {
			var text, structured bytes.Buffer
			for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&structured, nil))} {
				guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Logger: logger})
				if err != nil {
					t.Fatal(err)
				}
				handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") }))
				handler.ServeHTTP(httptest.NewRecorder(), request(t, upgrade("/access", line)))
			}
			for _, logged := range []string{text.String(), structured.String()} {
				if strings.Count(logged, "\n") != 1 || !strings.HasSuffix(logged, "\n") {
					t.Errorf("not one line: %q", logged)
				}
				if strings.ContainsFunc(strings.TrimSuffix(logged, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("not printable: %q", logged)
				}
				if len(logged) > 600 {
					t.Errorf("%d bytes", len(logged))
				}
			}
			if line := text.String(); !strings.Contains(line, " level=INFO msg=refused reason=") || strings.Contains(strings.ReplaceAll(line, `\"`, ""), `" level=ERROR`) {
				t.Errorf("forged: %s", line)
			}
			var fields map[string]any
			if err := json.Unmarshal(structured.Bytes(), &fields); err != nil || fields["level"] != "INFO" || fields["msg"] != "refused" || len(fields) != 6 {
				t.Errorf("got the fields %v, %v, want six of a refusal", fields, err)
			}
		})
	}
}

// TestClaimsOfUsersNeverMix checks that reused buffers do not mix the claims of
// users whose tokens are verified concurrently.
func TestClaimsOfUsersNeverMix(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	for i := range 64 {
		users.Go(func() {
			name := fmt.Sprint("user", strings.Repeat("x", i), i)
			tok := signed(claims("sub", fmt.Sprintf("%q", name), "jti", fmt.Sprintf("%q", name)))
			for range 100 {
				c, err := guard.Check(request(t, upgrade("/access", bearer(tok))), wsauth.Access)
				if err != nil || c.Subject != name || c.ID != name || !strings.Contains(string(c.Payload()), name) {
					t.Errorf("the token of %s: got the claims %v, %v", name, c, err)
					return
				}
			}
		})
	}
	users.Wait()
}
