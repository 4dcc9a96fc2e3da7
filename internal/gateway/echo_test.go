package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/logintest"
)

func TestEchoByEveryExtractor(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	for name, dial := range map[string]func(*rig) *websocket.Conn{
		"ticket": func(r *rig) *websocket.Conn { return r.Open("?ticket=" + r.Ticket(access)) },
		"header": func(r *rig) *websocket.Conn { return r.Open("", bearer(access)) },
	} {
		t.Run(name, func(t *testing.T) { checkEcho(t, r, dial(r)) })
	}
	t.Run("cookie", func(t *testing.T) {
		r := start(t)
		value, _ := r.LoginCookies()
		checkEcho(t, r, r.Open("?csrf_token="+value))
		r.WantClose(r.Open(""), 3003, "csrf_mismatch")
		r.WantClose(r.Open("?csrf_token="+value+"x"), 3003, "csrf_mismatch")
	})
}

func checkEcho(t *testing.T, r *rig, conn *websocket.Conn) {
	t.Helper()
	r.wantIdentity(conn, "welcome")
	longest := strings.Repeat("ä", demo.MaxMessage/2)
	for _, message := range []string{"hello", "", "{", "null", `"whoami"`, `{"type":"who"}`, `{"type":"whoami","x":1}`, `{"Type":"whoami"}`, longest} {
		r.Write(conn, message)
		if got, err := r.Read(conn); err != nil || got != message {
			t.Fatalf("echo of %.20q: %.20q, %v", message, got, err)
		}
	}
	r.Write(conn, `{"type":"whoami"}`)
	r.wantIdentity(conn, "whoami")
	r.Write(conn, longest+"x")
	_, err := r.Read(conn)
	if websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a message of 32 KiB and one byte: %v", err)
	}
}

// wantIdentity reads a message with the identity of the client, and returns its
// expiry.
func (r *rig) wantIdentity(conn *websocket.Conn, kind string) (expires time.Time) {
	r.T.Helper()
	v := r.message(conn)
	claims, _ := v["claims"].(map[string]any)
	if v["type"] != kind || claims["sub"] != "test" || v["expires_at"] != claims["exp"] {
		r.T.Fatalf("got %v, want %s", v, kind)
	}
	return time.Unix(int64(v["expires_at"].(float64)), 0)
}

// message reads one message as JSON.
func (r *rig) message(conn *websocket.Conn) map[string]any {
	r.T.Helper()
	message, err := r.Read(conn)
	if err != nil {
		r.T.Fatal(err)
	}
	return logintest.Answer{Text: message}.Decode(r.T)
}

func TestHandshakesThatAreRefused(t *testing.T) {
	r := start(t)
	access, refresh := r.Login()
	r.WantClose(r.Open(""), 3000, "token_missing")
	r.WantClose(r.Open("", bearer(access+"x")), 3000, "token_invalid")
	r.WantClose(r.Open("", bearer(refresh)), 3003, "wrong_token_type")
	for _, origin := range []string{"https://evil.example", "null", "https" + strings.TrimPrefix(r.URL, "http"), r.URL + ".evil.example"} {
		_, resp, err := r.Dial("", bearer(access), "Origin: "+origin)
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("Origin %s: %v, want 403", origin, err)
		}
	}
	r.wantIdentity(r.Open("", bearer(access), "Origin: "+r.URL), "welcome")
	e := r.Call("GET", "/ws", "", bearer(access))
	e.WantProblem(t, 426, "invalid_handshake", "WebSocket")
	if e.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Error("426 without Sec-WebSocket-Version")
	}
	for _, headers := range [][]string{nil, {"Upgrade: websocket", "Connection: Upgrade"}} {
		if e := r.Call("HEAD", "/ws", "", headers...); e.StatusCode != http.StatusUpgradeRequired { // the answer to a POST lists HEAD in Allow
			t.Errorf("HEAD with %q: %d, want 426", headers, e.StatusCode)
		}
	}
}

func TestBinaryMessagesEndTheSocket(t *testing.T) {
	r := start(t)
	access, _ := r.Login()
	conn := r.openEcho(access)
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte{1}); err != nil {
		t.Fatal(err)
	}
	r.WantClose(conn, websocket.StatusUnsupportedData, "text_only")
}

func TestR2_OneSocketMoreEndsTheOldest(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.PerSubject = 2 })
	access, _ := r.Login()
	other, _ := r.Login()
	oldest := r.openEcho(access)
	second, third := r.openEcho(other), r.openEcho(access)
	r.WantClose(oldest, 3003, "connection_limit")
	for _, conn := range []*websocket.Conn{second, third} {
		r.Write(conn, "I live")
		if got, err := r.Read(conn); got != "I live" {
			t.Errorf("got %q, %v, want an echo", got, err)
		}
	}
}

func TestRenewalInBand(t *testing.T) {
	r := start(t)
	access, refresh := r.Login()
	conn := r.Open("", bearer(access))
	r.wantIdentity(conn, "welcome")
	newer, _ := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	if v := r.message(conn); v["type"] != "renewed" {
		t.Fatal(v)
	}
	r.Write(conn, `{"type":"auth","token":"`+newer+`"}`)
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
	access, refresh := r.Login()
	other, _ := r.Login()
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
		conn := r.openEcho(access)
		r.Write(conn, `{"type":"auth","token":"`+c.raw+`"}`)
		r.WantClose(conn, c.code, c.reason)
	}
	conn := r.openEcho(access)
	r.Write(conn, `{"type":"auth","token":"`+access+`"}`)
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
	_, refresh := r.Login()
	stale, _ := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	conn := r.openEcho(stale)
	r.Write(conn, `{"type":"step-up"}`)
	if v := r.message(conn); v["type"] != "fresh_required" {
		t.Fatal(v)
	}
	r.Write(conn, `{"type":"step-up"}`) // requested once only, and the socket stays open
	r.Write(conn, "meanwhile")
	if got, err := r.Read(conn); got != "meanwhile" {
		t.Fatal(got, err)
	}
	r.Call("POST", "/auth/fresh", `{"password":"wrong"}`, jsonType, bearer(stale)).WantProblem(t, 401, "bad_credentials", "")
	fresh, none := r.Renewed(r.Call("POST", "/auth/fresh", `{"password":"test"}`, jsonType, bearer(stale)))
	if none != "" || r.Claims(fresh)["fresh"] != true || r.Claims(fresh)["sid"] != r.Claims(stale)["sid"] {
		t.Errorf("fresh: %v, with refresh token %q", r.Claims(fresh), none)
	}
	got := map[any]bool{}
	for range 2 {
		got[r.message(conn)["type"]] = true
	}
	if !got["fresh_ok"] || !got["renewed"] {
		t.Errorf("got %v", got)
	}
	r.Write(conn, `{"type":"step-up"}`)
	if v := r.message(conn); v["type"] != "fresh_ok" {
		t.Error(v)
	}
}
