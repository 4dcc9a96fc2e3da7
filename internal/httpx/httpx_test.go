package httpx

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{
		"GET": true, "X-User": true, "chat.v2": true, "!#$%&'*+-.^_`|~09azAZ": true,
		"": false, " ": false, "a b": false, "a\t": false, "a,b": false, "a/b": false, "a:b": false, "a;b": false, "a=b": false,
		`a"b`: false, "a(b": false, "a@b": false, "a[b": false, `a\b`: false, "a{b": false, "é": false, "\x00": false, "\x7f": false, "a\xff": false,
	} {
		if IsToken(s) != want {
			t.Errorf("IsToken(%q) is not %v", s, want)
		}
	}
	const separators = "\"(),/:;<=>?@[\\]{}"
	for c := range 256 {
		want := c > ' ' && c < 0x7f && !strings.ContainsRune(separators, rune(c))
		if IsTokenByte(byte(c)) != want || IsToken(string([]byte{byte(c)})) != want {
			t.Errorf("%q: not %v", byte(c), want)
		}
	}
}

func TestItems(t *testing.T) {
	for _, tt := range []struct{ lines, want []string }{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{" , ,\t"}, nil},
		{[]string{"a, b", "c"}, []string{"a", "b", "c"}},
		{[]string{" \ta\t ,B ,, c d"}, []string{"a", "B", "c d"}},
		{[]string{"\u00a0a\v"}, []string{"\u00a0a\v"}}, // not whitespace in HTTP
	} {
		if got := slices.Collect(Items(tt.lines)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.lines, got, tt.want)
		}
	}
	for first := range Items([]string{"a, b"}) {
		if first != "a" {
			t.Errorf("the first item is %q, want %q", first, "a")
		}
		break
	}
}

// TestFoldsASCIIOnly checks that a token does not match if it has a non-ASCII
// letter that Unicode folds to ASCII.
func TestFoldsASCIIOnly(t *testing.T) {
	const kelvin = "WebSoc\u212aet"
	if !strings.EqualFold(kelvin, "websocket") {
		t.Fatal("the test shows nothing")
	}
	for line, want := range map[string]bool{"websocket": true, "WebSocket": true, " WEBSOCKET\t": true, kelvin: false, "websocket2": false, "": false} {
		if HasToken([]string{"x", line}, "websocket") != want || IsOnly([]string{line}, "websocket") != want {
			t.Errorf("%q is not %v", line, want)
		}
	}
	if IsOnly([]string{"websocket", "websocket"}, "websocket") || IsOnly([]string{"websocket, h2c"}, "websocket") || IsOnly(nil, "websocket") {
		t.Error("a list is taken for one token")
	}
	if HasItem([]string{"Chat"}, "chat") || !HasItem([]string{"x, chat"}, "chat") {
		t.Error("HasItem does not compare exactly")
	}
	for in, want := range map[string]string{"": "", "abc-É": "abc-É", "ABC-É\u212a": "abc-É\u212a", "Z": "z", "[@`{": "[@`{"} {
		if got := LowerASCII(in); got != want {
			t.Errorf("LowerASCII(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestStripUpgrade(t *testing.T) {
	h := http.Header{"Upgrade": {"h2c", "x"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}, "Connection": {"upgrade"}}
	if StripUpgrade(h); len(h) != 1 || h.Get("Connection") == "" {
		t.Errorf("got %v, want only Connection", h)
	}
}

func TestSubprotocol(t *testing.T) {
	const jws = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"chat"}, "chat"},
		{[]string{"bearer, chat"}, "bearer"},
		{[]string{jws + ", chat"}, "chat"},
		{[]string{jws}, ""},
		{[]string{"a b, c"}, "c"},
		{[]string{strings.Repeat("x", 65), strings.Repeat("y", 64)}, strings.Repeat("y", 64)},
	} {
		if got := Subprotocol(tt.lines); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.lines, got, tt.want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "app.localhost": false, "localhost.": false, "LOCALHOST": false, "localhost.example": false, "[::1]": false,
		"127.0.0.1:80": false, "127.1": false, "0.0.0.0": false, "10.0.0.1": false, "2130706433": false, "127.0.0.1.example": false,
	} {
		if IsLoopback(host) != want {
			t.Errorf("IsLoopback(%q) is not %v", host, want)
		}
	}
}

// TestS3_CheckOrigin checks which origins a configuration may name.
func TestS3_CheckOrigin(t *testing.T) {
	for _, good := range []string{"https://app.example", "http://127.0.0.1:8000", "http://[::1]:8000", "https://[::1]", "https://app.example:80", "app://host", "capacitor://localhost", "http://[::ffff:102:304]", "http://[2001:db8::1]:8443"} {
		if err := CheckOrigin(good); err != nil {
			t.Error(err)
		}
		// Package login passes these origins to net/http, which checks them.
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "*", "null", "https://*.example", "app.example", "//app.example", "https://", "https://app.example/", "https://app.example?",
		"https://app.example#", "https://user@app.example", "https://App.example", "HTTPS://app.example", "https://app.example:443",
		"http://app.example:80", "https://app.example:", "https://äpp.example", "https://app.example:x", " https://app.example",
		"https://app.example:0443", "https://app.example:08443", "https://app.example:00", "http://[0:0:0:0:0:0:0:1]", "http://[::ffff:1.2.3.4]", "http://[2001:db8:0:0::1]:8443", "ws://app.example", "wss://app.example:8443",
	} {
		if CheckOrigin(bad) == nil {
			t.Errorf("CheckOrigin(%q) = nil, want an error", bad)
		}
	}
}
