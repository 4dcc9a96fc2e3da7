package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

// FuzzOriginPattern checks that an accepted pattern covers only https origins
// with exactly one more label, below a registrable domain, and with the
// pattern's port. It compares the result with that of coversByLabels.
func FuzzOriginPattern(f *testing.F) {
	for _, s := range [][2]string{
		{"https://*.example.com", "https://a.example.com"}, {"https://*.example.com", "https://a.b.example.com"}, {"https://*.example.com", "http://a.example.com"},
		{"https://*.example.com", "https://example.com"}, {"https://*.example.com", "https://.example.com"}, {"https://*.example.com", "https://aexample.com"},
		{"https://*.example.com:8443", "https://a.example.com:8443"}, {"https://*.example.com:8443", "https://a.example.com"}, {"https://*.example.com", "https://a.example.com:8443"},
		{"https://*.example.com", "https://A.example.com"}, {"https://*.example.com", "https://a.example.com."}, {"https://*.example.com", "https://evil.example/.example.com"},
		{"https://*.example.com", "https://u@a.example.com"}, {"https://*.example.com", "https://evil:1.example.com"}, {"https://*.com", "https://a.com"}, {"https://*.co.uk", "https://a.co.uk"},
		{"https://*.kawasaki.jp", "https://a.kawasaki.jp"}, {"https://*.1.2.3.4", "https://0.1.2.3.4"}, {"https://*.[::1]", "https://a.[::1]"}, {"https://*.xn--mnchen-3ya.example", "https://xn--a.xn--mnchen-3ya.example"},
		{"https://*.app.localhost", "https://*.app.localhost"}, {"https://*.*.example.com", "https://a.b.example.com"}, {"https://*.example.com", "null"}, {"*", "https://a.example.com"}, {"https://*.example.com", "https://%61.example.com"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, origin string) {
		p, err := parseOriginPattern(pattern)
		if err != nil {
			return
		}
		if got, want := p.matches(origin), coversByLabels(t, pattern, origin); got != want {
			t.Errorf("%q covers %q: %v, want %v", pattern, origin, got, want)
		}
		// A policy with only this pattern agrees, and allows no other origin.
		policy := newCORSPolicy("", &CORS{Origins: []string{pattern}}, nil)
		h := http.Header{}
		policy.write(h, []string{origin})
		if allowed := h.Get("Access-Control-Allow-Origin"); allowed != "" && allowed != origin || (allowed != "") != p.matches(origin) {
			t.Errorf("policy %q, origin %q: allows %q, want the origin only if the policy matches it", pattern, origin, allowed)
		}
	})
}

// coversByLabels reports whether a valid pattern covers an origin, by comparing
// labels.
func coversByLabels(t *testing.T, pattern, origin string) bool {
	t.Helper()
	rest, ok := strings.CutPrefix(pattern, "https://*.")
	if !ok {
		t.Fatalf("%q is accepted, want an error: it does not begin with https://*.", pattern)
	}
	base, err := url.Parse("https://" + rest)
	if err != nil {
		t.Fatal(err)
	}
	owned, err := publicsuffix.EffectiveTLDPlusOne("one." + base.Hostname())
	if err != nil || strings.HasPrefix(owned, "one.") {
		t.Fatalf("%q is accepted, want an error: anyone can register a name below it", pattern)
	}
	page, err := url.Parse(origin)
	if err != nil || page.Scheme != "https" || page.Host == "" || origin != "https://"+page.Host || page.Port() != base.Port() || strings.HasSuffix(page.Host, ":") {
		return false
	}
	labels := strings.Split(page.Hostname(), ".")
	if !slices.Equal(labels[1:], strings.Split(base.Hostname(), ".")) {
		return false
	}
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	return labels[0] != "" && len(labels[0]) <= 63 && strings.Trim(labels[0], letters) == ""
}

// TestParseOriginPattern checks which patterns of origins are accepted.
func TestParseOriginPattern(t *testing.T) {
	for _, bad := range []string{"", "https://*", "*.example.com", "//*.example.com", "https://*.", "https://*..", "https://*.[::1]", "https://*.[::1]:80", "https://*.example.com/",
		"https://*.example.com?", "https://*.example.com:x", "https://*.example.com:0", "https://*.example.com:08443", "https://u@*.example.com", "https://*.u@example.com", "https://*.a..example.com", "https://**.example.com",
		"https://x.*.example.com", "https://*.example.com:*", "wss://*.example.com", "HTTPS://*.example.com", "https://*.kawasaki.jp", "https://*.city.kawasaki.jp.", "https://*.appspot.com",
		"https://*.localhost", "https://*.xn--p1ai", "https://*.0x7f000001", "https://*.127.1", "https://*.s3.amazonaws.com", " https://*.example.com", "https://*.exam ple.com"} {
		if p, err := parseOriginPattern(bad); err == nil {
			t.Errorf("%q is read as the pattern %q, want an error", bad, p)
		}
	}
	for _, good := range []string{"https://*.example.com", "https://*.example.com:8443", "https://*.corp.internal", "https://*.app.localhost", "https://*.xn--mnchen-3ya.example", "https://*.a.b.c.example.com", "https://*.city.kawasaki.jp", "https://*.me.github.io"} {
		if _, err := parseOriginPattern(good); err != nil {
			t.Errorf("%q: %v, want no error", good, err)
		}
	}
}
