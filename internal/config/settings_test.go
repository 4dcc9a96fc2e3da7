package config

import (
	"strings"
	"testing"
)

func TestPlainHTTP(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8000":          false,
		"127.9.9.9:80":            false,
		"[::1]:8000":              false,
		"[::ffff:127.0.0.1]:8000": false,
		"localhost:8000":          false,
		"LOCALHOST.:8000":         false,
		"app.localhost:8000":      false,
		":8000":                   true,
		"0.0.0.0:8000":            true,
		"[::]:8000":               true,
		"192.0.2.1:80":            true,
		"app.example:80":          true,
		"localhost.example:80":    true,
		"nonsense":                false, // an error
	} {
		text := "listen: '" + address + "'\n"
		for settings, warns := range map[string]bool{
			"": want,
			"auth: {enabled: false}\nroutes: [{path: /, upstream: 'http://127.0.0.1:1'}]\n": want,
			"trusted_proxies: [10.0.0.1]\n":                         false,
			"trusted_proxies: [10.0.0.1]\nforwarded_scheme: http\n": want,
			"tls: {cert: a, key: b}\n":                              false,
		} {
			d := Parse("x.yaml", []byte(text+settings))
			found := strings.Join(d.Warnings(), "\n")
			if got := strings.Contains(found, "listen: "+address+" serves plain HTTP to other machines"); got != warns {
				t.Errorf("%s%s: got %q, want %v", text, settings, found, warns)
			}
			if login := strings.Contains(found, "discard the cookies of a login"); warns && login == strings.Contains(settings, "auth:") {
				t.Errorf("%s%s: got %q", text, settings, found)
			}
		}
	}
	if d := New(); len(d.Warnings()) > 0 {
		t.Errorf("the defaults: %q", d.Warnings())
	}
}
