package gateway

import (
	"net/http"
	"testing"
)

func bearer(raw string) string { return "Authorization: Bearer " + raw }

func csrf(value string) string { return "X-CSRF-Token: " + value }

func TestSessionTellsTheClaims(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	e := r.call("GET", "/auth/session", "", bearer(access))
	v := e.decode(t)
	if e.StatusCode != http.StatusOK || v["sub"] != "test" || v["fresh"] != true || v["type"] != "access" {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
	wantProblem(t, r.call("GET", "/auth/session", "", bearer(refresh)), 403, "wrong_token_type", "Only access tokens")
	wantProblem(t, r.call("GET", "/auth/session", ""), 401, "token_missing", "Missing")
}

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
