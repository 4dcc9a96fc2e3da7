package wsclient

import (
	"net/url"
	"strings"
	"testing"

	"wsauth/internal/inspect"
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

// TestAddressesAsPeopleTypeThem checks that an address without a scheme or with
// a wrong one is refused with the right spelling, which shows no secret.
func TestAddressesAsPeopleTypeThem(t *testing.T) {
	const secret = "secretsecret"
	for address, want := range map[string]string{
		"localhost:8080/ws":                            "the address of the socket has no scheme: write ws://localhost:8080/ws",
		"localhost":                                    "has no scheme: write ws://localhost",
		"127.0.0.1:8080/ws?token=" + secret:            "has no scheme: write ws://127.0.0.1:8080/ws",
		"[::1]:8080/ws":                                "has no scheme: write ws://[::1]:8080/ws",
		":8080/ws":                                     "has no scheme: write ws://localhost:8080/ws",
		"//localhost:8080/ws":                          "has no scheme: write ws://localhost:8080/ws",
		"app.example/ws":                               "has no scheme: write wss://app.example/ws, or ws:// if the server has no TLS",
		"app.example:443":                              "has no scheme: write wss://app.example:443, or ws://",
		"app.example/ws?next=http://x/" + secret:       "has no scheme: write wss://app.example/ws, or ws://",
		"ada:" + secret + "@app.example/ws":            "has no scheme: write wss://app.example/ws, or ws://",
		"ada:1" + secret + "@app.example/ws#" + secret: "has no scheme: write wss://app.example/ws, or ws://",
		"app.example/\x1b[2J":                          "invalid control character in URL",
		"ws:localhost:8080/ws":                         "lacks the slashes after its scheme: write ws://localhost:8080/ws",
		"WSS:/app.example/ws?" + secret:                "lacks the slashes after its scheme: write wss://app.example/ws",
		"ftp://app.example/" + secret:                  "has the scheme ftp, and must begin with ws://, wss://, http:// or https:// and a host",
		"unix:/run/" + secret:                          "has the scheme unix, and must begin with",
		"mailto:" + secret:                             "has the scheme mailto, and must begin with",
		"/ws":                                          "the address of the socket must begin with ws://, wss://, http:// or https:// and a host",
		"":                                             "must begin with ws://",
		"ws://":                                        "must begin with ws://",
		"::1":                                          "has an IPv6 address, which must be in brackets: write ws://[::1]",
		"::1/ws?" + secret:                             "in brackets: write ws://[::1]/ws",
		"ws://fe80::1:2:3:4:5:8000/ws":                 "in brackets: write ws://[fe80::1:2:3:4:5:8000]/ws",
		"wss://1:2:3:4:5:6:7:8:443/":                   "in brackets: write wss://[1:2:3:4:5:6:7:8]:443/",
		"wss://ada:" + secret + "@::1/":                "in brackets: write wss://[::1]/",
		"ws://[::1/ws":                                 "an IPv6 address must be in brackets, as in [::1]:8000",
		"ws://[fe80::1%eth0]/ws":                       "a zone after an IPv6 address begins with %25",
		"ws://h:99999/":                                "the port 99999 must be from 1 to 65535",
		"ws://h:0/":                                    "the port 0 must be from 1 to 65535",
		"ws://h:abc/":                                  "the port abc must be a number from 1 to 65535",
		"ws://https://h/":                              "it has two schemes: leave out the first",
		"ws://h/%zz":                                   `invalid URL escape "%zz": write a percent sign as %25`,
		"ws://ada:" + secret + "@h/":                   "leave out the name and the password: --user=NAME logs in",
		"ws://h/#" + secret:                            "leave out the fragment, which begins with #",
		"localhost:" + strings.Repeat("8", 9):          "has no scheme: write",
	} {
		_, err := ParseTarget(address, "/auth")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v; want %q", address, err, want)
		}
	}
	for auth, want := range map[string]string{
		"localhost:9000/auth":           "the address of the login endpoints has no scheme: write http://localhost:9000/auth",
		"127.0.0.1:9000/":               "the address of the login endpoints has no scheme: write http://127.0.0.1:9000/",
		"login.example:443/x?" + secret: "the address of the login endpoints has no scheme: write https://login.example:443/x, or http:// if the server has no TLS",
		"ws://login.example/" + secret:  "the address of the login endpoints has the scheme ws, and must begin with http:// or https:// and a host",
		"https:login.example":           "the address of the login endpoints lacks the slashes after its scheme: write https://login.example",
	} {
		if _, err := ParseTarget("ws://h/", auth); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v; want %q", auth, err, want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"localhost:8080/ws", "ws://h/ws?x=y#z", "wss:h", "[::1", "ada:x@h/ws", "//h", ":1", "http://\x1b/"} {
		f.Add(seed, "/auth")
		f.Add("ws://h/", seed)
	}
	f.Fuzz(func(t *testing.T, socket, auth string) {
		target, err := ParseTarget(socket, auth)
		if err != nil {
			if text := err.Error(); inspect.Escape(text) != text && inspect.Escape(socket) == socket && inspect.Escape(auth) == auth {
				t.Errorf("got %q", text)
			}
			return
		}
		for _, u := range []*url.URL{target.Socket, target.Auth} {
			if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
				t.Errorf("%q, %q: got %s", socket, auth, u)
			}
		}
	})
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
		"ws://2130706433/":         true, // some resolvers return 127.0.0.1; others look it up as a name
		"ws://[::ffff:192.0.2.1]/": true,
	} {
		target, err := ParseTarget(address, "/auth")
		if err != nil {
			t.Fatal(err)
		}
		if got := isExposed(target.Socket); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}
