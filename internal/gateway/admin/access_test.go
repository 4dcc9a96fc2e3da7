package admin

import (
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestInvalidRequests checks that invalid requests are refused and change
// nothing.
func TestInvalidRequests(t *testing.T) {
	r := newRig(t)
	open := r.open(r.start("test", "Phone"))
	long := strings.Repeat("x", 257)
	const isJSON = "application/json"
	for _, tt := range []struct {
		method, path, body, contentType string
		status                          int
		detail                          string
	}{
		{"POST", "/v1/revoke", ``, isJSON, 400, "not valid JSON"},
		{"POST", "/v1/revoke", `{}`, isJSON, 422, "Exactly one"},
		{"POST", "/v1/revoke", `[]`, isJSON, 422, "must be an object"},
		{"POST", "/v1/revoke", `{"user":"a"`, isJSON, 400, "not valid JSON"},
		{"POST", "/v1/revoke", `{"user":"a"}{"user":"b"}`, isJSON, 400, "not valid JSON"},
		{"POST", "/v1/revoke", `{"user":"a","user":"b"}`, isJSON, 400, "a name twice"},
		{"POST", "/v1/revoke", `{"user":"a","session":"b"}`, isJSON, 422, "Exactly one"},
		{"POST", "/v1/revoke", `{"user":"a","everything":true}`, isJSON, 422, "Exactly one"},
		{"POST", "/v1/revoke", `{"User":"a"}`, isJSON, 422, "not known here"},
		{"POST", "/v1/revoke", `{"sub":"a"}`, isJSON, 422, "not known here"},
		{"POST", "/v1/revoke", `{"user":7}`, isJSON, 422, "user must be a string"},
		{"POST", "/v1/revoke", `{"user":""}`, isJSON, 422, "1 to 256 bytes"},
		{"POST", "/v1/revoke", `{"session":""}`, isJSON, 422, "1 to 256 bytes"},
		{"POST", "/v1/revoke", `{"token":"` + long + `"}`, isJSON, 422, "1 to 256 bytes"},
		{"POST", "/v1/revoke", `{"everything":false}`, isJSON, 422, "must be true"},
		{"POST", "/v1/revoke", `{"everything":"true"}`, isJSON, 422, "must be true"},
		{"POST", "/v1/revoke", `{"token":"a","before":"2026-01-31T12:00:00Z"}`, isJSON, 422, "user and everything only"},
		{"POST", "/v1/revoke", `{"user":"test","before":""}`, isJSON, 422, "RFC 3339"},
		{"POST", "/v1/revoke", `{"user":"test","before":"yesterday"}`, isJSON, 422, "RFC 3339"},
		{"POST", "/v1/revoke", `{"user":"test","before":"1969-01-31T12:00:00Z"}`, isJSON, 422, "RFC 3339"},
		{"POST", "/v1/revoke", `{"user":"test","before":"2999-01-31T12:00:00Z"}`, isJSON, 422, "in the future"},
		{"POST", "/v1/revoke", `{"user":"test"}`, "", 415, isJSON},
		{"POST", "/v1/revoke", `{"user":"test"}`, "text/plain", 415, isJSON},
		{"POST", "/v1/revoke", `{"user":"test"}`, "application/json; charset=latin1", 415, isJSON},
		{"POST", "/v1/revoke", "user=test", "application/x-www-form-urlencoded", 415, isJSON},
		{"POST", "/v1/revoke", `{"user":"` + strings.Repeat("x", 65<<10) + `"}`, isJSON, 413, "64 KiB"},
		{"POST", "/v1/revoke", "{\"user\":\"\xff\"}", isJSON, 400, "not valid JSON"},
		{"GET", "/v1/revoke", "", "", 405, "POST"},
		{"GET", "/v1/drain", "", "", 405, "POST"},
		{"POST", "/v1/drain", ``, isJSON, 400, "not valid JSON"},
		{"POST", "/v1/drain", `{"within":0}`, isJSON, 422, "from 1 to 3600"},
		{"POST", "/v1/drain", `{"within":3601}`, isJSON, 422, "from 1 to 3600"},
		{"POST", "/v1/drain", `{"within":1.5}`, isJSON, 422, "within must be"},
		{"POST", "/v1/drain", `{"users":"a"}`, isJSON, 422, "not known here"},
		{"POST", "/v1/drain", `{}`, "text/plain", 415, isJSON},
		{"DELETE", "/v1/sockets", "", "", 405, "GET"},
		{"POST", "/v1/status", "{}", isJSON, 405, "GET"},
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
		{"GET", "/v1/sockets?after=" + r.api.run + ".-1", "", "", 400, "next of the page before"},
		{"GET", "/v1/sockets?after=ABCDEFGH.1", "", "", 400, "before a restart"},
		{"GET", "/v1/sessions?session=a", "", "", 400, "unknown name"},
		{"GET", "/v1/sessions/stored", "", "", 400, "user is required"},
		{"GET", "/v1/sessions/stored?user=a&after=" + r.api.run + ".1", "", "", 400, "only one page"},
		{"GET", "/v1/sockets?user=" + strings.Repeat("x", 9<<10), "", "", 414, "8 KiB"},
	} {
		w := r.call(tt.method, tt.path, tt.body, "Content-Type: "+tt.contentType)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.detail) {
			t.Errorf("%s %.80s %.80s: %d %s, want %d %q", tt.method, tt.path, tt.body, w.Code, w.Body, tt.status, tt.detail)
		}
		if tt.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", tt.method, tt.path)
		}
	}
	if open.reason() != "" || strings.Contains(r.log.String(), "admin: revoked") {
		t.Errorf("something was revoked: %s", &r.log)
	}
}

// TestServedAddresses checks that the API is served to this machine only, and
// on a port only to those with a token.
func TestServedAddresses(t *testing.T) {
	open := newRig(t).api
	guarded := newRig(t, withToken(t, rand.Text()+rand.Text())).api
	for addr, want := range map[net.Addr]string{
		&net.TCPAddr{IP: net.IPv4zero, Port: 1}:  "other machines can reach",
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}: "other machines can reach",
		&net.TCPAddr{IP: net.IPv6zero}:           "other machines can reach",
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}: "",
		&net.TCPAddr{IP: net.IPv6loopback}:       "",
		&net.UnixAddr{Name: "/run/admin.sock"}:   "",
	} {
		if _, err := guarded.handler(addr); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", addr, err, want)
		}
		if addr.Network() == "tcp" && want == "" {
			want = "a token is required"
		}
		if _, err := open.handler(addr); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s without a token: %v, want %q", addr, err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Serve(t.Context(), l); err == nil {
		t.Error("a port without a token is served")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the port is still open: %v", err)
	}
}

// TestHosts checks that requests under another host name that resolves to the
// port (DNS rebinding) are refused before the token is read.
func TestHosts(t *testing.T) {
	secret := rand.Text() + rand.Text()
	r := newRig(t, withToken(t, secret))
	named := newRig(t, withToken(t, secret), func(c *Config) { c.Host = "admin.app.example" }).api
	ask := func(h http.Handler, host, credential string) int {
		q := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
		q.Host = host
		q.Header.Set("Authorization", "Bearer "+credential)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		if w.Code == http.StatusForbidden && !strings.Contains(w.Body.String(), `"host_not_allowed"`) {
			t.Errorf("%s: got %s", host, w.Body)
		}
		return w.Code
	}
	for _, host := range []string{"127.0.0.1:9091", "127.0.0.1", "127.8.9.1:1", "[::1]:9091", "[::1]", "[::ffff:127.0.0.1]:80", "localhost", "LocalHost:8080", "localhost."} {
		if got := ask(r.api.port, host, secret); got != http.StatusOK {
			t.Errorf("%q: got %d, want %v", host, got, http.StatusOK)
		}
	}
	for _, host := range []string{
		"evil.example:9091", "evil.example", "", "192.0.2.1:9091", "0.0.0.0:9091", "[::]:9091", "localhost.evil.example", "127.0.0.1.evil.example:9091",
		"127.0.0.1@evil.example", "evil.example:127.0.0.1", "localhost:80:80", "localhost,evil.example", "127.1", "2130706433", "[::1", "::1", "admin.app.example", "[localhost]",
	} {
		for range maxTries + 1 {
			if got := ask(r.api.port, host, "guess"); got != http.StatusForbidden {
				t.Fatalf("%q with another token: %d", host, got)
			}
		}
		if got := ask(r.api.port, host, secret); got != http.StatusForbidden {
			t.Errorf("%q: got %d, want %v", host, got, http.StatusForbidden)
		}
		if got := ask(r.api.private, host, ""); got != http.StatusOK {
			t.Errorf("%q on a Unix socket: %d", host, got)
		}
	}
	if strings.Contains(r.log.String(), "admin: refused") {
		t.Error("a token was read")
	}
	for host, want := range map[string]int{"admin.app.example": 200, "Admin.App.Example:443": 200, "127.0.0.1:9091": 200, "app.example": 403, "x.admin.app.example": 403} {
		if got := ask(named.port, host, secret); got != want {
			t.Errorf("%q with Config.Host: %d, want %d", host, got, want)
		}
	}
}

func TestCheckHost(t *testing.T) {
	for _, name := range []string{"", "*.app.example", "Admin", "a:1", "a/b", "a b"} {
		if CheckHost(name) == nil {
			t.Errorf("%q is accepted as a host", name)
		}
	}
	if err := CheckHost("admin.app.example"); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Host: "*.app.example"}); err == nil {
		t.Error("New accepts any host")
	}
}
