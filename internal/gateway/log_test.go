package gateway

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"wsauth/internal/wstest"
)

func TestR6_NothingSecretIsLogged(t *testing.T) { inEachFormat(t, nothingSecretIsLogged) }

func nothingSecretIsLogged(t *testing.T, format logFormat) {
	const canary = "CANARY-7f3a"
	r := startLogging(t, format)
	access, refresh := r.Login()
	r.Call("POST", "/auth/login", `{"username":"test","password":"`+canary+`"}`, jsonType)
	r.Call("POST", "/auth/login", `{"username":"test","`+canary+`":1}`, jsonType)
	r.Call("GET", "/auth/session?"+canary+"="+canary, "", bearer(canary))
	r.Call("GET", "/auth/session", "", "Cookie: access_token_cookie="+canary+"; x="+canary)
	r.Call("POST", "/auth/refresh", "", csrf(canary), bearer(access+canary))
	r.Call("GET", "/"+canary, "")
	for _, query := range []string{"?ticket=" + canary, "?token=" + canary, "?token=" + access, "?token=" + refresh, "?ticket=" + canary + "&ticket=" + canary} {
		if _, err := r.Read(r.Open(query)); err == nil {
			t.Errorf("%s was accepted", query)
		}
	}
	conn := r.Open("?ticket=" + r.Ticket(access) + "&x=" + canary)
	if _, err := r.Read(conn); err != nil {
		t.Fatal(err)
	}
	r.Write(conn, canary)
	if got, err := r.Read(conn); got != canary {
		t.Fatal(got, err)
	}
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
	if v := r.message(conn); v["type"] != "renewed" {
		t.Fatal(v)
	}
	r.Call("POST", "/auth/fresh", `{"password":"`+canary+`"}`, jsonType, bearer(access))
	r.Call("DELETE", "/auth/sessions/"+canary, "", bearer(access))
	r.Write(conn, `{"type":"auth","token":"`+access+canary+`"}`)
	r.WantClose(conn, 3000, "token_invalid")
	r.Call("POST", "/auth/logout", "", bearer(access))
	r.LoginCookies()
	held := r.Cookies()
	r.stop()
	if err := <-r.served; err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"logged in", "login failed", "refused", "socket opened", "socket ended", "refreshed", "logged out", "stopped"} {
		r.log.WaitFor(t, line)
	}
	log := r.log.String()
	secrets := map[string]string{
		"the canary":                   canary,
		"the access token's claims":    strings.Split(access, ".")[1],
		"the access token's signature": strings.Split(access, ".")[2],
		"the refresh token's claims":   strings.Split(refresh, ".")[1],
	}
	for name, value := range held {
		secrets["the cookie "+name] = value
	}
	for name, secret := range secrets {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("the log contains %s", name)
		}
	}
}

func quoteJSON(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A logFormat returns a handler that writes a log in one format.
type logFormat func(io.Writer) slog.Handler

// inEachFormat runs a test with the log in text and in JSON.
func inEachFormat(t *testing.T, test func(*testing.T, logFormat)) {
	t.Run("text", func(t *testing.T) {
		test(t, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
	})
	t.Run("json", func(t *testing.T) {
		test(t, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
	})
}

// startLogging serves a gateway that logs in the format.
func startLogging(t *testing.T, format logFormat, change ...func(*Config)) *rig {
	t.Helper()
	log := &wstest.Log{}
	r := start(t, append(change, func(c *Config) { c.Logger = slog.New(format(log)) })...)
	r.log = log
	return r
}
