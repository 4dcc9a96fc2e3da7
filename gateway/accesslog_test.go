package gateway

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsauth"
)

func logged(c *Config) { c.AccessLog = true }

// lines are those of the log with a message.
func (r *rig) lines(message string) (all []string) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "msg="+message+" ") || strings.Contains(line, `"msg":"`+message+`"`) {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// wantLine wants one line, and no other, with all of these.
func (r *rig) wantLine(message string, n int, parts ...string) {
	r.t.Helper()
	for _, part := range parts {
		r.log.waitFor(r.t, part)
	}
	all := r.lines(message)
	if len(all) != n {
		r.t.Fatalf("%d lines of %s, want %d: %q", len(all), message, n, all)
	}
	for _, part := range parts {
		if !strings.Contains(all[n-1], part) {
			r.t.Errorf("%q lacks %q", all[n-1], part)
		}
	}
}

func TestAccessLog(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b, logged)
	access, refresh := r.login()
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
	r.echoOf(conn, "hello")
	if _, _, err := r.trySocket("/chat", nil); err == nil {
		t.Error("no token opens a socket")
	}
	r.wantLine("request", 7, "route=/ ", "path=/chat ", "reason=token_missing", "status=401")
	r.call("GET", "/readyz", "")
	r.call("POST", "/auth/logout", "", bearer(refresh))
	r.wantLine("request", 8, "route=/auth/logout")
	r.wantClose(conn, 3000, "session_ended")
	r.wantLine("socket", 1, "route=/ ", "path=/chat ", "user=test", "reason=session_ended", "code=3000", "by=owner", "client_messages=1", "upstream_messages=1", "client_bytes=11", "upstream_bytes=7")

	quiet := behind(t, b)
	quiet.get("/a")
	quiet.log.waitFor(t, "refused")
	if all := quiet.lines("request"); all != nil {
		t.Errorf("without an access log: %q", all)
	}
}

// TestAccessLogOfARefusedLogin: the line says why it was refused, and nothing of what was typed.
func TestAccessLogOfARefusedLogin(t *testing.T) {
	r := behind(t, newBackend(t), logged, func(c *Config) { c.Authenticate = anyone })
	tries := 0
	try := func(body, contentType, reason string) {
		t.Helper()
		r.call("POST", "/auth/login", body, "Content-Type: "+contentType)
		tries++
		r.wantLine("request", tries, "route=/auth/login", "reason="+reason+" ")
		for _, line := range r.lines("request") {
			if strings.Contains(line, "typed") {
				t.Errorf("%s", line)
			}
		}
	}
	try(`{"username":"typed-name","password":"typed-word"}`, "text/plain", "invalid_request")
	try(`{"username":"typed-name","typed":1}`, "application/json", "invalid_request")
	try(`{"username":"typed-name"}`, "application/json", "invalid_request")
	for strings.Count(r.log.String(), "reason=rate_limited") == 0 && tries < 100 {
		reason := "bad_credentials"
		if e := r.call("POST", "/auth/login", `{"username":"typed-name","password":"typed-word"}`, jsonType); e.StatusCode == http.StatusTooManyRequests {
			reason = "rate_limited"
		}
		tries++
		r.wantLine("request", tries, "route=/auth/login", "reason="+reason+" ")
	}
	r.call("POST", "/auth/login", `{"username":"somebody","password":"test"}`, jsonType)
	if line := r.lines("request")[tries]; strings.Contains(line, "reason=") || !strings.Contains(line, "status=200") {
		t.Errorf("a login that succeeds: %s", line)
	}
}

// TestAccessLogOfWhoLeaves: who ended a socket is told, and a refusal by a close code as one.
func TestAccessLogOfWhoLeaves(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.AccessLog = true
		c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Refusal: wsauth.RefuseClose}}
	})
	access, _ := r.login()
	conn := r.socket("/x", bearer(access))
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	r.wantLine("socket", 1, "reason=close", "code=1000", "by=client")
	r.socket("/x", bearer(access)).CloseNow()
	r.wantLine("socket", 2, "reason=eof", "by=client")
	refused, _, err := r.trySocket("/x", nil, bearer("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.wantClose(refused, 3000, "token_invalid")
	r.wantLine("request", 4, "reason=token_invalid", "status=401")
}

// TestR5_AccessLogCannotBeForged: one request is one line, however it is written.
func TestR5_AccessLogCannotBeForged(t *testing.T) {
	b := newBackend(t)
	r := behind(t, b, logged)
	evil := "%0a%0d%1b[31m%e2%80%aelevel=INFO%20msg=%22forged%22" + strings.Repeat("x", 3000)
	r.get("/public/"+evil, "User-Agent: a\tmsg=forged\u202e"+strings.Repeat("y", 3000), "Host: app.example")
	r.exactly("G"+strings.Repeat("Z", 300)+" /public/ HTTP/1.1", "Connection: close")
	r.exactly("GET /public/ HTTP/1.1", "Connection: close", "Host: evil\u00a0msg=forged")
	log := r.log.String()
	if strings.ContainsAny(log, "\r\x1b\u202e") || strings.Contains(log, "\nlevel=INFO") || strings.Contains(log, "\tmsg=forged") {
		t.Errorf("unescaped: %q", log)
	}
	for _, line := range r.lines("request") {
		if len(line) > 1500 || !regexp.MustCompile(`^time=\S+ level=INFO msg=request route=`).MatchString(line) {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
	if n := len(r.lines("request")); n < 2 {
		t.Errorf("%d lines", n)
	}
}

// TestR6_AccessLogHoldsNoCredential: whatever carries one, in whichever location, of whichever kind, even where no location is.
func TestR6_AccessLogHoldsNoCredential(t *testing.T) { inEachFormat(t, accessLogHoldsNoCredential) }

func accessLogHoldsNoCredential(t *testing.T, format logFormat) {
	b := newBackend(t)
	r := startLogging(t, format, func(c *Config) {
		c.AccessLog = true
		c.Routes = []Route{
			{Path: "/", Upstreams: []string{b.URL}},
			{Path: "/query", Upstreams: []string{b.URL}, Locations: []wsauth.Location{wsauth.Query{Name: "token"}}},
			{Path: "/protocol", Upstreams: []string{b.URL}, Locations: []wsauth.Location{wsauth.Subprotocol{}}},
			{Path: "/first", Upstreams: []string{b.URL}, Locations: []wsauth.Location{wsauth.FirstMessage{}}},
		}
	})
	access, refresh := r.login()
	ticket := r.ticketFor(access, "/")
	csrfAccess, csrfRefresh := r.loginCookies()
	secrets := []string{access, refresh, ticket, csrfAccess, csrfRefresh, "secret-password"}
	for _, value := range r.cookies() {
		secrets = append(secrets, value)
	}
	for _, secret := range append(secrets, access+"x") {
		r.get("/?ticket="+secret, "Referer: https://app.example/?token="+secret)
		r.get("/?token="+secret, bearer(secret))
		r.get("/query?token="+secret, "User-Agent: x")
		r.get("/x", "Cookie: access_token_cookie="+secret, "X-CSRF-Token: "+secret, "X-Secret: "+secret)
		for _, path := range []string{"/query?token=" + secret, "/?ticket=" + secret, "/?ticket=" + secret + "&ticket=" + secret} {
			if conn, _, err := r.trySocket(path, nil); err == nil {
				conn.CloseNow()
			}
		}
		for _, path := range []string{"/protocol", "/first", "/"} {
			if conn, _, err := r.trySocket(path, []string{"bearer", secret}); err == nil {
				conn.CloseNow()
			}
		}
	}
	r.get("/"+access+"/x", bearer(access))
	for _, dot := range []string{"%2e", "%252E", "%25252e", "=."} {
		r.get("/x/" + strings.ReplaceAll(access, ".", dot))
	}
	r.call("POST", "/auth/login", `{"username":"test","password":"secret-password"}`, jsonType)
	conn, _, err := r.trySocket("/first", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.write(conn, `{"type":"auth","token":"`+access+`x"}`)
	r.wantClose(conn, 3000, "token_invalid")
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
				t.Errorf("the log holds %.20s…", part)
			}
		}
	}
	if !strings.Contains(log, "/[token]/x") {
		t.Error("what looks like a token is not replaced in a path")
	}
	for name := range r.figures() {
		for _, secret := range secrets {
			if strings.Contains(name, secret) {
				t.Errorf("the figures hold a secret: %s", name)
			}
		}
	}
}

// ticketFor gets a ticket for a path.
func (r *rig) ticketFor(access, path string) string {
	r.t.Helper()
	e := r.call("POST", "/auth/ticket", `{"path":"`+path+`"}`, jsonType, bearer(access))
	if e.StatusCode != http.StatusOK {
		r.t.Fatalf("ticket: %d %s", e.StatusCode, e.body)
	}
	return e.decode(r.t)["ticket"].(string)
}
