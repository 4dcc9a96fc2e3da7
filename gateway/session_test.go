package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
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

func TestRefreshKeepsTheSessionAndIsNotFresh(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	before := r.call("GET", "/auth/session", "", bearer(access)).decode(t)
	e := r.call("POST", "/auth/refresh", "", bearer(refresh))
	v := e.decode(t)
	if e.StatusCode != http.StatusOK || v["refresh_token"] != nil || e.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	after := r.call("GET", "/auth/session", "", bearer(v["access_token"].(string))).decode(t)
	if after["sid"] != before["sid"] || after["fresh"] != false || after["jti"] == before["jti"] {
		t.Errorf("before %v, after %v", before, after)
	}
	wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(access)), 403, "wrong_token_type", "Only refresh tokens")
}

func TestRefreshByCookieStaysInCookies(t *testing.T) {
	r := start(t)
	accessCSRF, refreshCSRF := r.loginCookies()
	old := r.cookies()["access_token_cookie"]
	wantProblem(t, r.call("POST", "/auth/refresh", ""), 403, "csrf_mismatch", "Missing CSRF")                   // C12
	wantProblem(t, r.call("POST", "/auth/refresh", "", csrf(accessCSRF)), 403, "csrf_mismatch", "do not match") // another token's
	e := r.call("POST", "/auth/refresh", "", csrf(refreshCSRF))
	if e.StatusCode != http.StatusOK || strings.Contains(e.body, "access_token\"") {
		t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	if now := r.cookies(); now["access_token_cookie"] == old || now["csrf_access_token"] != e.decode(t)["csrf_token"] {
		t.Errorf("the cookies were not renewed")
	}
}

func TestLogoutEndsEveryTokenOfTheSession(t *testing.T) { // Q19
	for _, by := range []string{"access", "refresh"} {
		t.Run(by, func(t *testing.T) {
			r := start(t)
			access, refresh := r.login()
			other, _ := r.login()
			newer := r.call("POST", "/auth/refresh", "", bearer(refresh)).decode(t)["access_token"].(string)
			if e := r.call("POST", "/auth/logout", "", bearer(map[string]string{"access": access, "refresh": refresh}[by])); e.StatusCode != http.StatusNoContent || e.body != "" {
				t.Fatalf("%d %s", e.StatusCode, e.body)
			}
			for _, raw := range []string{access, newer} {
				wantProblem(t, r.call("GET", "/auth/session", "", bearer(raw)), 401, "token_revoked", "revoked")
				r.wantClose(r.open("?token="+raw), 3000, "token_revoked")
			}
			wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(refresh)), 401, "token_revoked", "revoked")
			wantProblem(t, r.call("POST", "/auth/logout", "", bearer(access)), 401, "token_revoked", "revoked")
			if e := r.call("GET", "/auth/session", "", bearer(other)); e.StatusCode != http.StatusOK {
				t.Errorf("another session of the same user ended too: %d", e.StatusCode)
			}
		})
	}
}

// The last access token of a session may come from its refresh token's last moment.
func TestLogoutIsRememberedAsLongAsAnyToken(t *testing.T) {
	r := start(t, func(c *Config) { c.AccessTTL, c.RefreshTTL = time.Hour, 2*time.Hour })
	access, _ := r.login()
	sid := r.call("GET", "/auth/session", "", bearer(access)).decode(t)["sid"].(string)
	before := time.Now()
	r.call("POST", "/auth/logout", "", bearer(access))
	if !r.g.denied.has(sid, before.Add(3*time.Hour)) {
		t.Error("the session is forgotten before its last token has ended")
	}
}

func TestLogoutByCookieClearsCookies(t *testing.T) {
	r := start(t)
	access, _ := r.loginCookies()
	wantProblem(t, r.call("POST", "/auth/logout", ""), 403, "csrf_mismatch", "Missing CSRF")
	if e := r.call("POST", "/auth/logout", "", csrf(access)); e.StatusCode != http.StatusNoContent {
		t.Fatalf("%d %s", e.StatusCode, e.body)
	}
	if left := r.cookies(); len(left) != 0 {
		t.Errorf("cookies are left: %v", left)
	}
}

func TestLogoutThatCannotBeRememberedIsRefused(t *testing.T) {
	r := start(t)
	r.g.denied.most = 0
	access, _ := r.login()
	wantProblem(t, r.call("POST", "/auth/logout", "", bearer(access)), 503, "store_unavailable", "cannot be ended")
}

func TestT1_TwoCredentialsAreRefused(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	value, _ := r.loginCookies()
	wantProblem(t, r.call("GET", "/auth/session", "", bearer(access)), 400, "invalid_request", "")
	wantProblem(t, r.call("POST", "/auth/logout", "", bearer(access), csrf(value)), 400, "invalid_request", "")
	r.wantClose(r.open("?token="+access+"&csrf_token="+value), 3003, "invalid_request")
}

func TestC17_PostsOfOtherSitesAreRefused(t *testing.T) {
	r := start(t)
	value, refreshValue := r.loginCookies()
	for path, h := range map[string][]string{
		"/auth/login":   {jsonType},
		"/auth/refresh": {csrf(refreshValue)},
		"/auth/logout":  {csrf(value)},
	} {
		for _, sign := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
			e := r.call("POST", path, `{"username":"test","password":"test"}`, append(h, sign)...)
			wantProblem(t, e, 403, "origin_not_allowed", "other sites")
		}
	}
	e := r.call("OPTIONS", "/auth/login", "", "Origin: https://evil.example", "Access-Control-Request-Method: POST") // C18
	if e.StatusCode != http.StatusMethodNotAllowed || e.Header.Get("Access-Control-Allow-Origin") != "" || e.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("a preflight gets %d with %v", e.StatusCode, e.Header)
	}
}

func TestConfiguredOriginMayUseTheServer(t *testing.T) {
	r := start(t, func(c *Config) { c.Origins = []string{"https://app.example"} })
	e := r.call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType, "Origin: https://app.example")
	if e.StatusCode != http.StatusOK {
		t.Fatalf("login: %d %s", e.StatusCode, e.body)
	}
	conn := r.open("?token="+e.decode(t)["access_token"].(string), "Origin: https://app.example")
	if _, err := r.read(conn); err != nil {
		t.Fatal(err)
	}
}

func TestEchoByEveryLocation(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	for name, dial := range map[string]func(*rig) *websocket.Conn{
		"query":  func(r *rig) *websocket.Conn { return r.open("?token=" + access) },
		"header": func(r *rig) *websocket.Conn { return r.open("", bearer(access)) },
	} {
		t.Run(name, func(t *testing.T) { checkEcho(t, r, dial(r)) })
	}
	t.Run("cookie", func(t *testing.T) {
		r := start(t)
		value, _ := r.loginCookies()
		checkEcho(t, r, r.open("?csrf_token="+value))
		r.wantClose(r.open(""), 3003, "csrf_mismatch")
		r.wantClose(r.open("?csrf_token="+value+"x"), 3003, "csrf_mismatch")
	})
}

func checkEcho(t *testing.T, r *rig, conn *websocket.Conn) {
	t.Helper()
	hello, err := r.read(conn)
	if err != nil {
		t.Fatal(err)
	}
	v := exchange{body: hello}.decode(t)
	claims, _ := v["claims"].(map[string]any)
	if v["type"] != "welcome" || claims["sub"] != "test" || v["expires_at"] != claims["exp"] {
		t.Errorf("welcome %s", hello)
	}
	longest := strings.Repeat("ä", maxMessage/2)
	for _, message := range []string{"hello", "", longest} {
		r.write(conn, message)
		if got, err := r.read(conn); err != nil || got != message {
			t.Fatalf("echo of %.20q: %.20q, %v", message, got, err)
		}
	}
	r.write(conn, longest+"x")
	_, err = r.read(conn)
	if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a message of 32 KiB and one byte: %v", err)
	}
}

func TestL1_ExpiryEndsTheSocket(t *testing.T) {
	r := start(t, func(c *Config) { c.AccessTTL = time.Second })
	access, _ := r.login()
	conn := r.open("?token=" + access)
	if _, err := r.read(conn); err != nil {
		t.Fatal(err)
	}
	r.wantClose(conn, 3000, "token_expired")
	r.wantClose(r.open("?token="+access), 3000, "token_expired")
}

func TestHandshakesThatAreRefused(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	r.wantClose(r.open(""), 3000, "token_missing")
	r.wantClose(r.open("?token="+access+"x"), 3000, "token_invalid")
	r.wantClose(r.open("?token="+refresh), 3003, "wrong_token_type")
	for _, origin := range []string{"https://evil.example", "null", "https" + strings.TrimPrefix(r.url, "http"), r.url + ".evil.example"} {
		_, resp, err := r.dial("?token="+access, "Origin: "+origin)
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("Origin %s: %v, want 403", origin, err)
		}
	}
	e := r.call("GET", "/ws?token="+access, "")
	wantProblem(t, e, 426, "invalid_handshake", "WebSocket")
	if e.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Error("426 does not name the version")
	}
	for _, headers := range [][]string{nil, {"Upgrade: websocket", "Connection: Upgrade"}} {
		if e := r.call("HEAD", "/ws", "", headers...); e.StatusCode != http.StatusUpgradeRequired { // POST is told that HEAD is allowed
			t.Errorf("HEAD with %q: %d, want 426", headers, e.StatusCode)
		}
	}
}

func TestBinaryMessagesEndTheSocket(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	conn := r.open("?token=" + access)
	if _, err := r.read(conn); err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte{1}); err != nil {
		t.Fatal(err)
	}
	r.wantClose(conn, websocket.StatusUnsupportedData, "text_only")
}
