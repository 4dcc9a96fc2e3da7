package gateway

import (
	"net/http"
	"testing"
)

func bearer(raw string) string { return "Authorization: Bearer " + raw }

func csrf(value string) string { return "X-CSRF-Token: " + value }

func TestT1_TwoCredentialsAreRefused(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	value, _ := r.loginCookies()
	wantProblem(t, r.call("GET", "/auth/session", "", bearer(access)), 400, "invalid_request", "")
	wantProblem(t, r.call("POST", "/auth/logout", "", bearer(access), csrf(value)), 400, "invalid_request", "")
	r.wantClose(r.open("?csrf_token="+value, bearer(access)), 3003, "invalid_request")
}

func TestConfiguredOriginMayUseTheServer(t *testing.T) {
	r := start(t, func(c *Config) { c.Origins = []string{"https://app.example"} })
	e := r.call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType, "Origin: https://app.example")
	if e.StatusCode != http.StatusOK {
		t.Fatalf("login: %d %s", e.StatusCode, e.body)
	}
	conn := r.open("", bearer(e.decode(t)["access_token"].(string)), "Origin: https://app.example")
	if _, err := r.read(conn); err != nil {
		t.Fatal(err)
	}
}
