package postgres

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestConfigFaults checks that unusable configurations are refused before a
// connection is made.
func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]Config{
		"URL":        {},
		"bad URL":    {URL: "postgres://%zz"},
		"keyword":    {URL: "host=a port=b"},
		"ListenURL":  {URL: "postgres://localhost", ListenURL: "port=b"},
		"Schema":     {URL: "postgres://localhost", Schema: strings.Repeat("s", 64)},
		"zero":       {URL: "postgres://localhost", Schema: "a\x00"},
		"Timeout":    {URL: "postgres://localhost", Timeout: time.Millisecond},
		"MaxConns":   {URL: "postgres://localhost", MaxConns: -1},
		"no server":  {URL: "host=/nonexistent user=a dbname=b password=hunter2hunter2"},
		"no address": {URL: "postgres://a:hunter2hunter2@localhost:1/b"},
	} {
		s, err := Open(t.Context(), c)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzURLErrors checks that no error for a URL or DSN contains the password,
// however they are malformed.
func FuzzURLErrors(f *testing.F) {
	const password = "hunter2hunter2"
	for _, text := range []string{
		"postgres://user:" + password + "@host:5432/db", "postgres://user:" + password + "@host:port/db",
		"postgres://user:" + password + "@host/db?sslmode=never", "host=h password=" + password, "password='" + password,
		"password=" + password + " port=x", "postgres://user:" + password + "%zz@host", "postgresql://:" + password + "@[::1/",
		"host=h sslrootcert=" + password, "postgres://h/?password=" + password + "&connect_timeout=x", password,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Config{URL: text, ListenURL: text}.withDefaults()
		if err == nil {
			_, err = c.pool()
		}
		if err == nil {
			_, err = c.listener()
		}
		if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), url.QueryEscape(password))) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
