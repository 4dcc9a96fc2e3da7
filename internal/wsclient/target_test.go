package wsclient

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct{ socket, auth, wantSocket, wantAuth string }{
		{"ws://h:1/ws", "/auth", "http://h:1/ws", "http://h:1/auth"},
		{"wss://h/a/ws?room=1", "/auth/", "https://h/a/ws?room=1", "https://h/auth"},
		{"http://h", "/", "http://h/", "http://h"},
		{"https://h/a%2Fb", "login/v1", "https://h/a%2Fb", "https://h/login/v1"},
		{"ws://[::1]:8000/ws", "https://login.example/x", "http://[::1]:8000/ws", "https://login.example/x"},
	} {
		got, err := ParseTarget(c.socket, c.auth)
		if err != nil {
			t.Errorf("%s: %v", c.socket, err)
			continue
		}
		if got.Socket.String() != c.wantSocket || got.Auth.String() != c.wantAuth {
			t.Errorf("%s with %s: %s and %s", c.socket, c.auth, got.Socket, got.Auth)
		}
	}
	for _, c := range []struct{ socket, auth string }{
		{"", "/auth"},
		{"h/ws?secretsecret", "/auth"},
		{"ftp://h/?secretsecret", "/auth"},
		{"ws:h?secretsecret", "/auth"},
		{"ws:///x?secretsecret", "/auth"},
		{"ws://user:secretsecret@h/", "/auth"},
		{"ws://h/#secretsecret", "/auth"},
		{"ws://h/%zz?secretsecret", "/auth"},
		{"ws://h:port/?secretsecret", "/auth"},
		{"ws://h/", "wss://h/auth"},
		{"ws://h/", "https://user:secretsecret@h/auth"},
		{"ws://h/", "/auth?x=secretsecret"},
		{"ws://h/", ":secretsecret"},
	} {
		if _, err := ParseTarget(c.socket, c.auth); err == nil || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%s with %s: %v", c.socket, c.auth, err)
		}
	}
}

func TestExposed(t *testing.T) {
	for address, want := range map[string]bool{
		"ws://127.0.0.1/":          false,
		"ws://127.8.9.1:80/":       false,
		"ws://[::1]:80/":           false,
		"ws://[::ffff:127.0.0.1]/": false,
		"ws://localhost:8000/":     false,
		"wss://app.example/":       false,
		"ws://app.example/":        true,
		"ws://localhost.example/":  true,
		"ws://sub.localhost/":      true, // a resolver may send it anywhere
		"ws://192.0.2.1/":          true,
		"ws://127.0.0.1.example/":  true,
		"ws://2130706433/":         true, // some resolvers know it as 127.0.0.1; the others are asked for a name
		"ws://[::ffff:192.0.2.1]/": true,
	} {
		target, err := ParseTarget(address, "/auth")
		if err != nil {
			t.Fatal(err)
		}
		if got := Exposed(target.Socket); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
