package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/demo"
)

func TestEchoByEveryExtractor(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	for name, dial := range map[string]func(*rig) *websocket.Conn{
		"ticket": func(r *rig) *websocket.Conn { return r.open("?ticket=" + r.ticket(access)) },
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
	r.wantIdentity(conn, "welcome")
	longest := strings.Repeat("ä", demo.MaxMessage/2)
	for _, message := range []string{"hello", "", "{", "null", `"whoami"`, `{"type":"who"}`, `{"type":"whoami","x":1}`, `{"Type":"whoami"}`, longest} {
		r.write(conn, message)
		if got, err := r.read(conn); err != nil || got != message {
			t.Fatalf("echo of %.20q: %.20q, %v", message, got, err)
		}
	}
	r.write(conn, `{"type":"whoami"}`)
	r.wantIdentity(conn, "whoami")
	r.write(conn, longest+"x")
	_, err := r.read(conn)
	if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a message of 32 KiB and one byte: %v", err)
	}
}

// wantIdentity reads a message with the identity of the client, and returns its
// expiry.
func (r *rig) wantIdentity(conn *websocket.Conn, kind string) (expires time.Time) {
	r.t.Helper()
	v := r.message(conn)
	claims, _ := v["claims"].(map[string]any)
	if v["type"] != kind || claims["sub"] != "test" || v["expires_at"] != claims["exp"] {
		r.t.Fatalf("got %v, want %s", v, kind)
	}
	return time.Unix(int64(v["expires_at"].(float64)), 0)
}

// message reads one message as JSON.
func (r *rig) message(conn *websocket.Conn) map[string]any {
	r.t.Helper()
	message, err := r.read(conn)
	if err != nil {
		r.t.Fatal(err)
	}
	return exchange{body: message}.decode(r.t)
}

func TestHandshakesThatAreRefused(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	r.wantClose(r.open(""), 3000, "token_missing")
	r.wantClose(r.open("", bearer(access+"x")), 3000, "token_invalid")
	r.wantClose(r.open("", bearer(refresh)), 3003, "wrong_token_type")
	for _, origin := range []string{"https://evil.example", "null", "https" + strings.TrimPrefix(r.url, "http"), r.url + ".evil.example"} {
		_, resp, err := r.dial("", bearer(access), "Origin: "+origin)
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("Origin %s: %v, want 403", origin, err)
		}
	}
	r.wantIdentity(r.open("", bearer(access), "Origin: "+r.url), "welcome")
	e := r.call("GET", "/ws", "", bearer(access))
	wantProblem(t, e, 426, "invalid_handshake", "WebSocket")
	if e.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Error("426 without Sec-WebSocket-Version")
	}
	for _, headers := range [][]string{nil, {"Upgrade: websocket", "Connection: Upgrade"}} {
		if e := r.call("HEAD", "/ws", "", headers...); e.StatusCode != http.StatusUpgradeRequired { // an answer to POST lists HEAD as allowed
			t.Errorf("HEAD with %q: %d, want 426", headers, e.StatusCode)
		}
	}
}

func TestBinaryMessagesEndTheSocket(t *testing.T) {
	r := start(t)
	access, _ := r.login()
	conn := r.echoes(access)
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte{1}); err != nil {
		t.Fatal(err)
	}
	r.wantClose(conn, websocket.StatusUnsupportedData, "text_only")
}

func TestR2_OneSocketMoreEndsTheOldest(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.PerSubject = 2 })
	access, _ := r.login()
	other, _ := r.login()
	oldest := r.echoes(access)
	second, third := r.echoes(other), r.echoes(access)
	r.wantClose(oldest, 3003, "connection_limit")
	for _, conn := range []*websocket.Conn{second, third} {
		r.write(conn, "I live")
		if got, err := r.read(conn); got != "I live" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestRenewalInBand(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	conn := r.open("", bearer(access))
	r.wantIdentity(conn, "welcome")
	newer, _ := r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh)))
	if v := r.message(conn); v["type"] != "renewed" {
		t.Fatal(v)
	}
	r.write(conn, `{"type":"auth","token":"`+newer+`"}`)
	got := map[any]any{}
	for range 2 { // in either order
		v := r.message(conn)
		got[v["type"]] = v["expires_at"]
	}
	if got["auth_ok"] == nil || got["renewed"] != got["auth_ok"] {
		t.Errorf("got %v", got)
	}
}

func TestL3_AnotherSessionsTokenDoesNotRenew(t *testing.T) {
	r := start(t)
	access, refresh := r.login()
	other, _ := r.login()
	for _, c := range []struct {
		name, raw string
		code      websocket.StatusCode
		reason    string
	}{
		{"of another session", other, 3000, "token_invalid"},
		{"a refresh token", refresh, 3003, "wrong_token_type"},
		{"broken", access + "x", 3000, "token_invalid"},
	} {
		t.Logf("with a token that is %s", c.name)
		conn := r.echoes(access)
		r.write(conn, `{"type":"auth","token":"`+c.raw+`"}`)
		r.wantClose(conn, c.code, c.reason)
	}
	conn := r.echoes(access)
	r.write(conn, `{"type":"auth","token":"`+access+`"}`)
	got := r.message(conn)
	if got["type"] == "renewed" { // may arrive first
		got = r.message(conn)
	}
	if got["type"] != "auth_ok" {
		t.Errorf("its own token: %v", got)
	}
}

func TestStepUpOnAnOpenSocket(t *testing.T) {
	r := start(t)
	_, refresh := r.login()
	stale, _ := r.renewed(r.call("POST", "/auth/refresh", "", bearer(refresh)))
	conn := r.echoes(stale)
	r.write(conn, `{"type":"step-up"}`)
	if v := r.message(conn); v["type"] != "fresh_required" {
		t.Fatal(v)
	}
	r.write(conn, `{"type":"step-up"}`) // requested once only, and the socket stays open
	r.write(conn, "meanwhile")
	if got, err := r.read(conn); got != "meanwhile" {
		t.Fatal(got, err)
	}
	wantProblem(t, r.call("POST", "/auth/fresh", `{"password":"wrong"}`, jsonType, bearer(stale)), 401, "bad_credentials", "")
	fresh, none := r.renewed(r.call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(stale)))
	if none != "" || r.claims(fresh)["fresh"] != true || r.claims(fresh)["sid"] != r.claims(stale)["sid"] {
		t.Errorf("fresh: %v, with refresh token %q", r.claims(fresh), none)
	}
	got := map[any]bool{}
	for range 2 {
		got[r.message(conn)["type"]] = true
	}
	if !got["fresh_ok"] || !got["renewed"] {
		t.Errorf("got %v", got)
	}
	r.write(conn, `{"type":"step-up"}`)
	if v := r.message(conn); v["type"] != "fresh_ok" {
		t.Error(v)
	}
}
