package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

func withAccessLog(c *Config) { c.AccessLog = true }

// lines returns the log lines with a message.
func (r *rig) lines(message string) (all []string) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "msg="+message+" ") || strings.Contains(line, `"msg":"`+message+`"`) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// wantLine waits for n lines with a message and returns the last one, which
// must contain all parts. More than n lines are a failure.
func (r *rig) wantLine(message string, n int, parts ...string) string {
	r.T.Helper()
	r.log.Wait(r.T, fmt.Sprintf("%d lines of %s", n, message), func(string) bool { return len(r.lines(message)) >= n })
	all := r.lines(message)
	if len(all) != n {
		r.T.Fatalf("%d lines of %s, want %d: %q", len(all), message, n, all)
	}
	for _, part := range parts {
		if !strings.Contains(all[n-1]+" ", part) {
			r.T.Errorf("%q lacks %q", all[n-1], part)
		}
	}
	return all[n-1]
}

func TestAccessLog(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, withAccessLog)
	access, refresh := r.Login()
	r.wantLine("request", 1, "route=/auth/login", "path=/auth/login", "method=POST", "proto=HTTP/1.1", "status=200", "agent=Go-http-client/1.1", "bytes=")
	r.get("/a/b?token=x", bearer(access))
	r.wantLine("request", 2, "route=/ ", "host=app.example", "path=/a/b ", "user=test", "method=GET", "status=200", "bytes=26")
	r.get("/a")
	r.wantLine("request", 3, "route=/ ", "reason=token_missing", "status=401")
	r.get("/public/none")
	r.wantLine("request", 4, "route=/public/ ", "status=200")
	r.get("/..;/x")
	r.wantLine("request", 5, "route=none", "status=400")
	conn := r.socket("/chat?x=y", bearer(access))
	r.wantLine("request", 6, "route=/ ", "path=/chat ", "user=test", "status=101")
	r.WantEcho(conn, "hello")
	if _, _, err := r.DialPath("/chat", nil); err == nil {
		t.Error("a socket opened without a token")
	}
	r.wantLine("request", 7, "route=/ ", "path=/chat ", "reason=token_missing", "status=401")
	r.Call("GET", "/readyz", "")
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	r.wantLine("request", 8, "route=/auth/logout")
	r.WantClose(conn, 3000, "session_ended")
	r.wantLine("socket", 1, "route=/ ", "path=/chat ", "user=test", "reason=session_ended", "code=3000", "by=gateway", "client_messages=1", "upstream_messages=1", "client_bytes=11", "upstream_bytes=7")

	quiet := serveBehind(t, b)
	quiet.get("/a")
	quiet.log.WaitFor(t, "refused")
	if all := quiet.lines("request"); all != nil {
		t.Errorf("without an access log: %q", all)
	}
}

// TestAccessLogOfARefusedLogin checks that each refused login writes one line
// with its reason, below and above the limit of attempts, and that the line
// contains nothing that the client sent.
func TestAccessLogOfARefusedLogin(t *testing.T) {
	r := serveBehind(t, newBackend(t), withAccessLog, func(c *Config) { c.Login.Users = anyone })
	n := 0
	try := func(body, contentType string, reasons map[int]string) (status int) {
		t.Helper()
		status = r.Call("POST", "/auth/login", body, "Content-Type: "+contentType).StatusCode
		if reasons[status] == "" {
			t.Fatalf("%s: status %d, want one of %v", body, status, reasons)
		}
		n++
		line := r.wantLine("request", n, "route=/auth/login ", "reason="+reasons[status]+" ", fmt.Sprintf("status=%d ", status))
		if strings.Contains(line, "typed") {
			t.Error(line)
		}
		return status
	}
	const wrong = `{"username":"typed-name","password":"typed-word"}`
	try(wrong, "text/plain", map[int]string{http.StatusUnsupportedMediaType: "invalid_request"})
	try(`{"username":"typed-name","typed":1}`, "application/json", map[int]string{http.StatusUnprocessableEntity: "invalid_request"})
	try(`{"username":"typed-name"}`, "application/json", map[int]string{http.StatusUnprocessableEntity: "invalid_request"})
	for status := 0; status != http.StatusTooManyRequests; {
		if n > 50 {
			t.Fatal("no login reached the limit of attempts")
		}
		status = try(wrong, "application/json", map[int]string{http.StatusUnauthorized: "bad_credentials", http.StatusTooManyRequests: "rate_limited"})
	}
	if e := r.Call("POST", "/auth/login", `{"username":"somebody","password":"test"}`, jsonType); e.StatusCode != http.StatusOK {
		t.Errorf("another user: status %d", e.StatusCode)
	}
	if line := r.wantLine("request", n+1, "status=200 "); strings.Contains(line, "reason=") {
		t.Errorf("a login that succeeds: %s", line)
	}
}

// TestAccessLogOfEnds checks that the access log records which side ended a
// socket, and logs a refusal by close code as a refusal.
func TestAccessLogOfEnds(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.AccessLog = true
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Refusal: wsauth.RefuseClose}}
	})
	access, _ := r.Login()
	conn := r.socket("/x", bearer(access))
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	r.wantLine("socket", 1, "reason=close", "code=1000", "by=client")
	r.socket("/x", bearer(access)).CloseNow()
	r.wantLine("socket", 2, "reason=eof", "by=client")
	refused, _, err := r.DialPath("/x", nil, bearer("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.WantClose(refused, 3000, "token_invalid")
	r.wantLine("request", 4, "reason=token_invalid", "status=401")
}

// TestR5_AccessLogCannotBeForged checks that control characters, line breaks,
// escapes and bidirectional marks in a logged part of a request forge no log
// lines. Each request writes one line with the usual keys. The values contain
// only printable characters and do not exceed their maximum length.
func TestR5_AccessLogCannotBeForged(t *testing.T) { inEachFormat(t, accessLogCannotBeForged) }

func accessLogCannotBeForged(t *testing.T, format logFormat) {
	r := startLogging(t, format, func(c *Config) {
		c.AccessLog = true
		c.Routes = []proxy.Route{{Path: "/public/", Upstreams: []string{newBackend(t).URL}, Public: true}}
	})
	const long = 3000
	evil := "%0a%0d%1b[31m%e2%80%aelevel=INFO%20msg=%22forged%22" + strings.Repeat("x", long)
	for i, request := range []struct {
		first string
		lines []string
		want  map[string]string // prefixes of values
	}{
		{"GET /public/" + evil + " HTTP/1.1", nil, map[string]string{"path": "/public/\ufffd\ufffd\ufffd[31m\ufffdlevel=INFO msg="}},
		{"GET /public/ HTTP/1.1", []string{"User-Agent: a\tmsg=forged\u202e" + strings.Repeat("y", long)}, map[string]string{"agent": "a\ufffdmsg=forged\ufffdyyy"}},
		{"G" + strings.Repeat("Z", 300) + " /public/ HTTP/1.1", nil, map[string]string{"method": "GZZZ"}},
		{"GET /public/ HTTP/1.1", []string{"Host: evil\u00a0msg=forged"}, nil}, // net/http refuses it, or we log it escaped
	} {
		before := len(r.lines("request"))
		e := r.callUnchanged(request.first, append(request.lines, "Connection: close")...)
		if request.want == nil && e.StatusCode == http.StatusBadRequest {
			if n := len(r.lines("request")); n != before {
				t.Errorf("request %d: %d lines, want none", i, n-before)
			}
			continue
		}
		line := r.wantLine("request", before+1)
		values := logged(t, line)
		for key, want := range request.want {
			if !strings.HasPrefix(values[key], want) {
				t.Errorf("request %d: %s is %q, want the prefix %q", i, key, values[key], want)
			}
		}
		for key, value := range values {
			switch key {
			case "time", "level", "msg", "route", "host", "path", "remote", "method", "proto", "agent", "duration", "status", "bytes", "reason":
			default:
				t.Errorf("request %d: a line has the key %q", i, key)
			}
			limit := 64
			if key == "path" {
				limit = 256
			}
			if utf8.RuneCountInString(value) > limit+len("…") {
				t.Errorf("request %d: %s has %d characters", i, key, utf8.RuneCountInString(value))
			}
			if strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }) {
				t.Errorf("request %d: %s is %q", i, key, value)
			}
		}
		if values["msg"] != "request" || values["level"] != "INFO" {
			t.Errorf("request %d: %q", i, line)
		}
	}
	if strings.ContainsAny(r.log.String(), "\r\x1b\u202e") {
		t.Errorf("unescaped: %q", r.log)
	}
}

// logged parses a log line in text or JSON. Keys must be unique.
func logged(t *testing.T, line string) map[string]string {
	t.Helper()
	values := map[string]string{}
	if strings.HasPrefix(line, "{") {
		all := map[string]any{}
		if err := json.Unmarshal([]byte(line), &all); err != nil { // refuses duplicate names
			t.Fatalf("%q: %v", line, err)
		}
		for key, value := range all {
			values[key] = fmt.Sprint(value)
		}
		return values
	}
	rest := line
	for rest != "" {
		key, after, found := strings.Cut(rest, "=")
		if _, twice := values[key]; !found || twice {
			t.Fatalf("%q: %q has no value, or is repeated", line, key)
		}
		var value string
		if quoted, err := strconv.QuotedPrefix(after); err == nil {
			value, after = must(strconv.Unquote(quoted)), after[len(quoted):]
		} else {
			value, _, _ = strings.Cut(after, " ")
			after = after[len(value):]
		}
		values[key], rest = value, strings.TrimPrefix(after, " ")
	}
	return values
}

// TestR6_AccessLogHoldsNoCredential checks that the access log contains no
// credential of any kind, wherever the request carries it, even where the
// gateway reads none.
func TestR6_AccessLogHoldsNoCredential(t *testing.T) { inEachFormat(t, accessLogHoldsNoCredential) }

func accessLogHoldsNoCredential(t *testing.T, format logFormat) {
	b := newBackend(t)
	r := startLogging(t, format, func(c *Config) {
		c.AccessLog = true
		c.Routes = []proxy.Route{
			{Path: "/", Upstreams: []string{b.URL}},
			{Path: "/query", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.Query{Name: "token"}}},
			{Path: "/protocol", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.Subprotocol{}}},
			{Path: "/first", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}},
		}
	})
	access, refresh := r.Login()
	ticket := r.ticketFor(access, "/")
	csrfAccess, csrfRefresh := r.LoginCookies()
	secrets := []string{access, refresh, ticket, csrfAccess, csrfRefresh, "secret-password"}
	for _, value := range r.Cookies() {
		secrets = append(secrets, value)
	}
	for _, secret := range append(secrets, access+"x") {
		r.get("/?ticket="+secret, "Referer: https://app.example/?token="+secret)
		r.get("/?token="+secret, bearer(secret))
		r.get("/query?token="+secret, "User-Agent: x")
		r.get("/x", "Cookie: access_token_cookie="+secret, "X-CSRF-Token: "+secret, "X-Secret: "+secret)
		for _, path := range []string{"/query?token=" + secret, "/?ticket=" + secret, "/?ticket=" + secret + "&ticket=" + secret} {
			if conn, _, err := r.DialPath(path, nil); err == nil {
				conn.CloseNow()
			}
		}
		for _, path := range []string{"/protocol", "/first", "/"} {
			if conn, _, err := r.DialPath(path, []string{"bearer", secret}); err == nil {
				conn.CloseNow()
			}
		}
	}
	r.get("/"+access+"/x", bearer(access))
	for _, dot := range []string{"%2e", "%252E", "%25252e", "=."} {
		r.get("/x/" + strings.ReplaceAll(access, ".", dot))
	}
	r.Call("POST", "/auth/login", `{"username":"test","password":"secret-password"}`, jsonType)
	conn, _, err := r.DialPath("/first", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Write(conn, `{"type":"auth","token":"`+access+`x"}`)
	r.WantClose(conn, 3000, "token_invalid")
	r.stop()
	if err := <-r.served; err != nil {
		t.Fatal(err)
	}
	log := r.log.String()
	if len(r.lines("request")) < 60 {
		t.Fatalf("only %d lines", len(r.lines("request")))
	}
	for _, secret := range secrets {
		for _, part := range strings.Split(secret, ".") {
			if len(part) > 12 && part != strings.Split(access, ".")[0] && strings.Contains(log, part) {
				t.Errorf("the log contains %.20s…", part)
			}
		}
	}
	if !strings.Contains(log, "/[token]/x") {
		t.Error("a path in the log contains what looks like a token")
	}
	for name := range r.metrics() {
		for _, secret := range secrets {
			if strings.Contains(name, secret) {
				t.Errorf("the metrics contain a secret: %s", name)
			}
		}
	}
}

// ticketFor gets a ticket for a path.
func (r *rig) ticketFor(access, path string) string {
	r.T.Helper()
	e := r.Call("POST", "/auth/ticket", `{"path":"`+path+`"}`, jsonType, bearer(access))
	if e.StatusCode != http.StatusOK {
		r.T.Fatalf("ticket: %d %s", e.StatusCode, e.Text)
	}
	return e.Decode(r.T)["ticket"].(string)
}
