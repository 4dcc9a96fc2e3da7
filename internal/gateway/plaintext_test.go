package gateway

import (
	"net/http"
	"strings"
	"testing"

	"wsauth/internal/forwarded"
)

// TestLoginsOverPlainHTTP checks that the answer to a login warns if the
// browser will drop its cookies, and that the log warns as well, at a limited
// rate.
func TestLoginsOverPlainHTTP(t *testing.T) {
	const told = "a login by cookie over plain HTTP cannot last"
	trusted := func(c *Config) {
		c.Front.TrustedProxies, c.Origins = []string{"127.0.0.1"}, []string{"https://app.example", "http://app.example"}
	}
	open := func(c *Config) { c.Origins = []string{"https://app.example", "http://app.example"} }
	for name, c := range map[string]struct {
		change func(*Config)
		tls    bool
		lines  []string
		body   string
		want   bool
	}{
		"another host":              {open, false, []string{"Host: app.example", "Origin: http://app.example"}, "", true},
		"no page":                   {open, false, []string{"Host: app.example"}, "", true},
		"an address":                {open, false, []string{"Host: 192.0.2.1:8000"}, "", true},
		"this machine":              {open, false, nil, "", false},
		"localhost":                 {open, false, []string{"Host: localhost:8000"}, "", false},
		"TLS":                       {open, true, []string{"Host: app.example"}, "", false},
		"tokens in the answer":      {open, false, []string{"Host: app.example"}, `{"username":"test","password":"test"}`, false},
		"a page over TLS":           {open, false, []string{"Host: app.example", "Origin: https://app.example"}, "", false},
		"a trustworthy page":        {open, false, []string{"Host: app.example", "Sec-Fetch-Site: same-origin"}, "", false},
		"a proxy that is unknown":   {open, false, []string{"Host: app.example", "X-Forwarded-Proto: https"}, "", false},
		"a proxy with TLS":          {trusted, false, []string{"Host: app.example", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"}, "", false},
		"a proxy without TLS":       {trusted, false, []string{"Host: app.example", "Origin: http://app.example", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http"}, "", true},
		"a proxy of another source": {func(c *Config) { trusted(c); c.Front.ForwardedSource = forwarded.Forwarded }, false, []string{"Host: app.example", "Forwarded: for=192.0.2.1;proto=https"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, c.change)
			if c.tls {
				r, _ = overTLS(t, c.change)
			}
			body := c.body
			if body == "" {
				body = `{"username":"test","password":"test","cookies":true}`
			}
			for range 3 {
				e := r.Call("POST", "/auth/login", body, append([]string{jsonType}, c.lines...)...)
				if e.StatusCode != http.StatusOK {
					t.Fatalf("got %d %s, want %v", e.StatusCode, e.Text, http.StatusOK)
				}
				if got := strings.Contains(e.Text, `"warning":"Browsers drop the cookies of this answer: `); got != c.want {
					t.Errorf("got %s, want %v", e.Text, c.want)
				}
			}
			if got := strings.Count(r.log.String(), told); got > 1 || (got == 1) != c.want {
				t.Errorf("%d lines: %s", got, r.log)
			}
		})
	}
}
