package sharedstore

import (
	"strings"
	"testing"

	"wsauth/store"
	"wsauth/store/postgres"
)

// TestCheck checks which URLs are accepted, what Display returns for them, and
// that no error contains the password.
func TestCheck(t *testing.T) {
	const secret = "hunter2"
	for text, want := range map[string]string{
		"redis://h": "redis://h",
		"rediss://u:" + secret + "@h:1/2?prefix=x":                 "rediss://h:1/2",
		"redis+sentinel://a,b:3/name?sentinel_password=" + secret:  "redis+sentinel://a,b:3/name",
		"redis+cluster://u:" + secret + "@a,b":                     "redis+cluster://a,b",
		"postgres://u:" + secret + "@a:1,b:2/db":                   "postgres://a:1,b:2/db",
		"postgresql://h/db?schema=s&listen=off&password=" + secret: "postgresql://h/db",
		"redis:h": "", "h": "", "": "", "http://h": "", "redis://": "", "redis://h/x": "", "postgres:///db": "", "postgres://h?listen=x": "",
		"redis://u:" + secret + "%@h": "", "REDIS://u:" + secret + "@h": "", "postgres://u:" + secret + "@h?a=%": "",
	} {
		err := Check(text)
		switch {
		case (err == nil) != (want != ""):
			t.Errorf("%s: error %v", text, err)
		case err == nil && Display(text) != want:
			t.Errorf("%s is shown as %s, want %s", text, Display(text), want)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%s is shown in an error: %v", text, err)
		case HasPassword(text) != strings.Contains(text, secret):
			t.Errorf("%s: has a password: %t", text, HasPassword(text))
		}
		if want != "" {
			continue
		}
		if s, err := Open(t.Context(), text, store.Limits{}, nil); err == nil || s != nil {
			t.Errorf("%s was opened", text)
		}
	}
}

// TestPostgresParameters checks that schema and listen are not sent to the
// server, and that all others are.
func TestPostgresParameters(t *testing.T) {
	for text, want := range map[string]postgres.Config{
		"postgres://h/db":                                  {URL: "postgres://h/db", ListenURL: "postgres://h/db"},
		"postgres://h/db?sslmode=require&schema=s":         {URL: "postgres://h/db?sslmode=require", ListenURL: "postgres://h/db?sslmode=require", Schema: "s"},
		"postgres://h:6432/db?listen=off&connect_timeout=": {URL: "postgres://h:6432/db?connect_timeout="},
	} {
		if got, err := postgresConfig(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}
