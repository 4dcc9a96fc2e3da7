package redis

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestParseURL checks URLs of each form.
func TestParseURL(t *testing.T) {
	for text, want := range map[string]Config{
		"redis://localhost":                                          {Addresses: []string{"localhost:6379"}},
		"redis://[::1]:1/":                                           {Addresses: []string{"[::1]:1"}},
		"redis://[::1]":                                              {Addresses: []string{"[::1]:6379"}},
		"redis://:a%2Fb@h:65535/15":                                  {Addresses: []string{"h:65535"}, Password: "a/b", Database: 15},
		"redis://u:p@q@h":                                            {Addresses: []string{"h:6379"}, Username: "u", Password: "p@q"},
		"redis+cluster://a,b:7000,[::1]":                             {Addresses: []string{"a:6379", "b:7000", "[::1]:6379"}, Cluster: true},
		"redis+sentinel://a,b:1/main":                                {Addresses: []string{"a:26379", "b:1"}, Master: "main"},
		"redis+sentinel://u:p@a/main/3":                              {Addresses: []string{"a:26379"}, Master: "main", Database: 3, Username: "u", Password: "p"},
		"redis://h?replicas=2&timeout=2s":                            {Addresses: []string{"h:6379"}, Replicas: 2, Timeout: 2 * time.Second},
		"redis://h/?prefix=a.b&replica_timeout=1ms":                  {Addresses: []string{"h:6379"}, Prefix: "a.b", ReplicaTimeout: time.Millisecond},
		"redis+sentinel://h/m?sentinel_user=u&sentinel_password=%26": {Addresses: []string{"h:26379"}, Master: "m", SentinelUsername: "u", SentinelPassword: "&"},
	} {
		for _, scheme := range []string{"redis", "rediss"} {
			got, err := ParseURL(strings.Replace(text, "redis", scheme, 1))
			if err != nil || (got.TLS != nil) != (scheme == "rediss") {
				t.Errorf("%s: %+v, %v", text, got, err)
			}
			if !slices.Equal(got.Addresses, want.Addresses) {
				t.Errorf("%s: %v, want %v", text, got.Addresses, want.Addresses)
			}
			got.TLS, got.Addresses, want.Addresses = nil, nil, got.Addresses
			expected := want
			expected.Addresses = nil
			if !equal(got, expected) {
				t.Errorf("%s: %+v, want %+v", text, got, expected)
			}
		}
	}
}

// equal compares configurations without addresses, TLS and limits.
func equal(a, b Config) bool {
	return a.Cluster == b.Cluster && a.Master == b.Master && a.Username == b.Username && a.Password == b.Password && a.Database == b.Database &&
		a.SentinelUsername == b.SentinelUsername && a.SentinelPassword == b.SentinelPassword && a.Prefix == b.Prefix &&
		a.Timeout == b.Timeout && a.Replicas == b.Replicas && a.ReplicaTimeout == b.ReplicaTimeout
}

// wrongURLs are URLs that are refused. Each contains the password "hunter2".
var wrongURLs = []string{
	"", "hunter2", "//hunter2", "http://:hunter2@h", "redis+://:hunter2@h", "redis+sentinels://:hunter2@h/m", "REDIS://:hunter2@h",
	"redis://:hunter2%@h", "redis://:hunter2%zz@h", "redis://%zz:hunter2@h", "redis://u:hunter2@", "redis://u:hunter2@h:", "redis://u:hunter2@h:0",
	"redis://u:hunter2@h:65536", "redis://u:hunter2@h:06379", "redis://u:hunter2@h:x", "redis://u:hunter2@::1", "redis://u:hunter2@[::1",
	"redis://u:hunter2@h,i", "redis://u:hunter2@h,", "redis+cluster://u:hunter2@h,", "redis://u:hunter2@h o", "redis://u:hunter2@h/x", "redis://u:hunter2@h/1/",
	"redis://u:hunter2@h/01", "redis://u:hunter2@h/-1", "redis+cluster://u:hunter2@h/1", "redis+sentinel://u:hunter2@h", "redis+sentinel://u:hunter2@h/",
	"redis+sentinel://u:hunter2@h/m/x", "redis://u:hunter2@h?x=1", "redis://u:hunter2@h?prefix=", "redis://u:hunter2@h?prefix=%7B", "redis://u:hunter2@h?prefix=a&prefix=b",
	"redis://u:hunter2@h?timeout=1", "redis://u:hunter2@h?timeout=-1s", "redis://u:hunter2@h?timeout=1h", "redis://u:hunter2@h?replicas=x", "redis://u:hunter2@h?replica_timeout=1s",
	"redis://u:hunter2@h?%zz", "redis://u:hunter2@h#x", "redis://u:hunter2@h?prefix=a#x", "redis://hunter2@h", "redis://u:hunter2/@h",
}

// TestParseURLRefuses checks that invalid URLs are refused, with an error that
// does not contain the password.
func TestParseURLRefuses(t *testing.T) {
	for _, text := range wrongURLs {
		if c, err := ParseURL(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
}

// FuzzParseURL checks that an accepted URL results in a valid configuration,
// and that errors do not contain the password.
func FuzzParseURL(f *testing.F) {
	for _, text := range wrongURLs {
		f.Add(text)
	}
	f.Add("redis+sentinel://u:p@a:1,[::1]/main/3?prefix=a&timeout=2s&replicas=-1&replica_timeout=1s&sentinel_user=u&sentinel_password=%26")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseURL(text)
		if err != nil {
			if _, after, ok := strings.Cut(text, ":hunter2@"); ok && !strings.Contains(after, "hunter2") && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if err := c.check(); err != nil || len(c.Addresses) == 0 {
			t.Errorf("%q: %+v: %v", text, c, err)
		}
	})
}
