package gateway

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/privatesock"
)

func TestAdminRefusesWhatItDoesNotUnderstand(t *testing.T) {
	r := start(t)
	o := r.operator()
	other := start(t).operator()
	access, _ := r.login()
	conn := r.echoes(access)
	foreign := other.get("/v1/sockets?limit=1") // the same API of another run has other cursors
	if foreign["next"] != nil {
		t.Fatal(foreign)
	}
	long := strings.Repeat("x", 257)
	for _, tt := range []struct {
		method, path, body, contentType string
		status                          int
		detail                          string
	}{
		{"POST", "/v1/revoke", ``, "application/json", 400, "not valid JSON"},
		{"POST", "/v1/revoke", `{}`, "application/json", 422, "Exactly one"},
		{"POST", "/v1/revoke", `[]`, "application/json", 422, "must be an object"},
		{"POST", "/v1/revoke", `{"user":"a"`, "application/json", 400, "not valid JSON"},
		{"POST", "/v1/revoke", `{"user":"a"}{"user":"b"}`, "application/json", 400, "not valid JSON"},
		{"POST", "/v1/revoke", `{"user":"a","user":"b"}`, "application/json", 400, "a name twice"},
		{"POST", "/v1/revoke", `{"user":"a","session":"b"}`, "application/json", 422, "Exactly one"},
		{"POST", "/v1/revoke", `{"user":"a","everything":true}`, "application/json", 422, "Exactly one"},
		{"POST", "/v1/revoke", `{"User":"a"}`, "application/json", 422, "not known here"},
		{"POST", "/v1/revoke", `{"sub":"a"}`, "application/json", 422, "not known here"},
		{"POST", "/v1/revoke", `{"user":7}`, "application/json", 422, "user must be a string"},
		{"POST", "/v1/revoke", `{"user":""}`, "application/json", 422, "1 to 256 bytes"},
		{"POST", "/v1/revoke", `{"session":""}`, "application/json", 422, "1 to 256 bytes"},
		{"POST", "/v1/revoke", `{"token":"` + long + `"}`, "application/json", 422, "1 to 256 bytes"},
		{"POST", "/v1/revoke", `{"everything":false}`, "application/json", 422, "must be true"},
		{"POST", "/v1/revoke", `{"everything":"true"}`, "application/json", 422, "must be true"},
		{"POST", "/v1/revoke", `{"token":"a","before":"2026-01-31T12:00:00Z"}`, "application/json", 422, "user and everything only"},
		{"POST", "/v1/revoke", `{"user":"test","before":""}`, "application/json", 422, "RFC 3339"},
		{"POST", "/v1/revoke", `{"user":"test","before":"yesterday"}`, "application/json", 422, "RFC 3339"},
		{"POST", "/v1/revoke", `{"user":"test","before":"1969-01-31T12:00:00Z"}`, "application/json", 422, "RFC 3339"},
		{"POST", "/v1/revoke", `{"user":"test","before":"2999-01-31T12:00:00Z"}`, "application/json", 422, "in the future"},
		{"POST", "/v1/revoke", `{"user":"test"}`, "", 415, "application/json"},
		{"POST", "/v1/revoke", `{"user":"test"}`, "text/plain", 415, "application/json"},
		{"POST", "/v1/revoke", `{"user":"test"}`, "application/json; charset=latin1", 415, "application/json"},
		{"POST", "/v1/revoke", "user=test", "application/x-www-form-urlencoded", 415, "application/json"},
		{"POST", "/v1/revoke", `{"user":"` + strings.Repeat("x", 65<<10) + `"}`, "application/json", 413, "64 KiB"},
		{"POST", "/v1/revoke", "{\"user\":\"\xff\"}", "application/json", 400, "not valid JSON"},
		{"GET", "/v1/revoke", "", "", 405, "POST"},
		{"GET", "/v1/drain", "", "", 405, "POST"},
		{"POST", "/v1/drain", ``, "application/json", 400, "not valid JSON"},
		{"POST", "/v1/drain", `{"within":0}`, "application/json", 422, "from 1 to 3600"},
		{"POST", "/v1/drain", `{"within":3601}`, "application/json", 422, "from 1 to 3600"},
		{"POST", "/v1/drain", `{"within":1.5}`, "application/json", 422, "within must be"},
		{"POST", "/v1/drain", `{"users":"a"}`, "application/json", 422, "not known here"},
		{"POST", "/v1/drain", `{}`, "text/plain", 415, "application/json"},
		{"DELETE", "/v1/sockets", "", "", 405, "GET"},
		{"POST", "/v1/status", "{}", "application/json", 405, "GET"},
		{"TRACE", "/v1/status", "", "", 405, ""}, // R14
		{"GET", "/", "", "", 404, "nothing"},
		{"GET", "/v1/", "", "", 404, "nothing"},
		{"GET", "/v2/status", "", "", 404, "nothing"},
		{"GET", "/v1//status", "", "", 404, "nothing"},
		{"GET", "/auth/login", "", "", 404, "nothing"},
		{"GET", "/ws", "", "", 404, "nothing"},
		{"GET", "/v1/status?x=1", "", "", 400, "No query"},
		{"GET", "/v1/sockets?x=1", "", "", 400, "unknown name"},
		{"GET", "/v1/sockets?user", "", "", 400, "occur once"},
		{"GET", "/v1/sockets?user=a&user=a", "", "", 400, "occur once"},
		{"GET", "/v1/sockets?user=%ff", "", "", 400, "occur once"},
		{"GET", "/v1/sockets?user=%zz", "", "", 400, "malformed"},
		{"GET", "/v1/sockets?user=a;b", "", "", 400, "malformed"},
		{"GET", "/v1/sockets?user=" + long, "", "", 400, "occur once"},
		{"GET", "/v1/sockets?limit=0", "", "", 400, "1 to 1000"},
		{"GET", "/v1/sockets?limit=1001", "", "", 400, "1 to 1000"},
		{"GET", "/v1/sockets?limit=1e2", "", "", 400, "1 to 1000"},
		{"GET", "/v1/sockets?after=1", "", "", 400, "next of the page before"},
		{"GET", "/v1/sockets?after=" + r.g.run + ".-1", "", "", 400, "next of the page before"},
		{"GET", "/v1/sockets?after=ABCDEFGH.1", "", "", 400, "before a restart"},
		{"GET", "/v1/sessions?session=a", "", "", 400, "unknown name"},
		{"GET", "/v1/sessions/stored", "", "", 400, "user is required"},
		{"GET", "/v1/sessions/stored?user=a&after=" + r.g.run + ".1", "", "", 400, "only one page"},
		{"GET", "/v1/sockets?user=" + strings.Repeat("x", 9<<10), "", "", 414, "8 KiB"},
	} {
		var headers []string
		if tt.contentType != "" {
			headers = append(headers, "Content-Type: "+tt.contentType)
		}
		e := o.call(tt.method, tt.path, tt.body, headers...)
		if e.StatusCode != tt.status || tt.method != "TRACE" && !strings.Contains(e.body, tt.detail) {
			t.Errorf("%s %.80s %.80s: %d %s, want %d %q", tt.method, tt.path, tt.body, e.StatusCode, e.body, tt.status, tt.detail)
		}
		if tt.status == 405 && e.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", tt.method, tt.path)
		}
	}
	r.write(conn, "I live")
	if got, err := r.read(conn); got != "I live" {
		t.Error(got, err)
	}
	if strings.Contains(r.log.String(), "admin: revoked") {
		t.Errorf("something was revoked: %s", r.log)
	}
}

// TestAdminIsNotPublic checks that the public cannot reach the operators'
// endpoints, with the demonstration and with routes, whatever the host and the
// path.
func TestAdminIsNotPublic(t *testing.T) {
	demo, routed := start(t), behind(t, newBackend(t), func(c *Config) { c.Authenticate = anyone })
	for _, r := range []*rig{demo, routed} {
		r.operator()
		access, _ := r.loginAs("test")
		conn := r.open("", bearer(access))
		for _, path := range []string{"/v1/status", "/v1/sockets", "/auth/v1/status", "/admin/v1/status", "/v1/revoke"} {
			for _, host := range []string{"localhost", "admin"} {
				if e := r.get(path, "Host: "+host); e.StatusCode != 404 && e.StatusCode != 401 || strings.Contains(e.body, "sockets") {
					t.Errorf("%s of %s: %d %s", path, host, e.StatusCode, e.body)
				}
			}
		}
		for _, path := range []string{"/v1/revoke", "/auth/v1/revoke"} {
			req, err := http.NewRequest("POST", r.url+path, strings.NewReader(`{"everything":true}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 404 && resp.StatusCode != 401 && resp.StatusCode != 403 {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
		r.write(conn, "I live")
		for got := ""; got != "I live"; { // behind the welcome of the demonstration
			var err error
			if got, err = r.read(conn); err != nil {
				t.Fatal(err)
			}
		}
		r.claims(access)
		if strings.Contains(r.log.String(), "admin:") {
			t.Errorf("%s", r.log)
		}
	}
}

// port serves the admin API of r on a port.
func (r *rig) port(token string) *operator { return r.portOf(AdminConfig{Token: token}) }

func (r *rig) portOf(c AdminConfig) *operator {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	return r.serveAdmin(l, "http://"+l.Addr().String(), &http.Transport{}, c)
}

func TestAdminIsNotServedToOthers(t *testing.T) {
	r := start(t)
	good := rand.Text() + rand.Text()
	for addr, want := range map[string]string{
		"0.0.0.0:0":   "other machines can reach",
		"127.0.0.1:0": "a token is required",
	} {
		var c AdminConfig
		if strings.HasPrefix(addr, "0.") {
			c.Token = good
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.g.ServeAdmin(t.Context(), l, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s is still open: %v", addr, err)
		}
	}
	defer func() {
		if why := fmt.Sprint(recover()); !strings.Contains(why, "too short") {
			t.Errorf("a weak token: %s", why)
		}
	}()
	r.g.Admin(AdminConfig{Token: "secret"})
}

// R5: what operators name cannot forge lines of the log.
func TestR5_AdminNamesCannotForgeLines(t *testing.T) {
	r := start(t)
	o := r.operator()
	name := "a\nlevel=INFO msg=\"admin: revoked\" target=everything\r\x1b[31m\u202e\x00"
	before := strings.Count(r.log.String(), "\n")
	for _, grain := range []string{"token", "session", "user"} {
		o.revoke(fmt.Sprintf(`{%q:%s}`, grain, quoteJSON(t, name)))
	}
	log := r.log.String()
	if got := strings.Count(log, "\n") - before; got != 3 {
		t.Errorf("3 orders made %d lines: %q", got, log)
	}
	if strings.ContainsAny(log, "\r\x1b\u202e\x00") {
		t.Errorf("the name is in the log unescaped: %q", log)
	}
}

// What is under way is answered, and the socket is gone afterwards.
func TestAdminStops(t *testing.T) {
	r := start(t)
	path := filepath.Join(shortDir(t), "a")
	l, err := privatesock.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	slow := AdminConfig{Reload: func(context.Context, adminapi.Reload) (adminapi.Reloaded, error) {
		close(begun)
		<-goOn
		return adminapi.Reloaded{}, nil
	}}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.g.ServeAdmin(ctx, l, slow) }()
	dial := func() (net.Conn, error) { return net.DialTimeout("unix", path, 10*time.Second) }
	idle, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	busy, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if _, err := io.WriteString(busy, "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
		t.Fatal(err)
	}
	<-begun
	stop()
	for conn := net.Conn(nil); err == nil; conn, err = dial() { // until it stops
		if conn != nil {
			_ = conn.Close()
		}
	}
	close(goOn)
	if resp, err := http.ReadResponse(bufio.NewReader(busy), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("what was under way: %v, %v", resp, err)
	}
	if err := <-served; err != nil {
		t.Errorf("ServeAdmin: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestAdminPortIsAskedByItsName checks that requests under another host name
// that resolves to the admin port (DNS rebinding) are refused before the token
// is read.
func TestAdminPortIsAskedByItsName(t *testing.T) {
	secret := rand.Text() + rand.Text()
	r := start(t)
	plain := r.g.Admin(AdminConfig{Token: secret})
	named := r.g.Admin(AdminConfig{Token: secret, Host: "admin.app.example"})
	private := r.g.Admin(AdminConfig{})
	ask := func(h http.Handler, host, credential string) int {
		w, q := httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/status", nil)
		q.Host = host
		q.Header.Set("Authorization", "Bearer "+credential)
		h.ServeHTTP(w, q)
		if w.Code == http.StatusForbidden && !strings.Contains(w.Body.String(), `"host_not_allowed"`) {
			t.Errorf("%s: %s", host, w.Body)
		}
		return w.Code
	}
	for _, host := range []string{"127.0.0.1:9091", "127.0.0.1", "127.8.9.1:1", "[::1]:9091", "[::1]", "[::ffff:127.0.0.1]:80", "localhost", "LocalHost:8080", "localhost."} {
		if got := ask(plain, host, secret); got != http.StatusOK {
			t.Errorf("%q: %d", host, got)
		}
	}
	for _, host := range []string{"evil.example:9091", "evil.example", "", "192.0.2.1:9091", "0.0.0.0:9091", "[::]:9091", "localhost.evil.example", "127.0.0.1.evil.example:9091",
		"127.0.0.1@evil.example", "evil.example:127.0.0.1", "localhost:80:80", "localhost,evil.example", "127.1", "2130706433", "[::1", "::1", "admin.app.example", "[localhost]"} {
		if got := ask(plain, host, secret); got != http.StatusForbidden {
			t.Errorf("%q: %d", host, got)
		}
		for range 12 { // which is more than the tries that an address has
			if got := ask(plain, host, "guess"); got != http.StatusForbidden {
				t.Fatalf("%q with another token: %d", host, got)
			}
		}
		if got := ask(private, host, ""); got != http.StatusOK {
			t.Errorf("%q on a socket: %d", host, got)
		}
	}
	if strings.Contains(r.log.String(), "admin: refused") {
		t.Error("a token was looked at")
	}
	for host, want := range map[string]int{"admin.app.example": 200, "Admin.App.Example:443": 200, "127.0.0.1:9091": 200, "app.example": 403, "x.admin.app.example": 403} {
		if got := ask(named, host, secret); got != want {
			t.Errorf("%q where there is a name: %d, want %d", host, got, want)
		}
	}
	for _, name := range []string{"", "*.app.example", "Admin", "a:1", "a/b", "a b"} {
		if CheckAdminHost(name) == nil {
			t.Errorf("%q is taken for a host", name)
		}
	}
	if err := CheckAdminHost("admin.app.example"); err != nil {
		t.Error(err)
	}
}
