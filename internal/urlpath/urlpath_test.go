package urlpath

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
)

// vectors returns the paths that client/test/path.test.js tests too.
func vectors(t testing.TB) (all []struct{ Path, Canonical string }) {
	text, err := os.ReadFile("testdata/paths.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) < 50 {
		t.Fatalf("%d vectors: %v", len(all), err)
	}
	return all
}

func TestCanonical(t *testing.T) {
	for _, v := range vectors(t) {
		if got, err := Canonical(v.Path); err != nil || got != v.Canonical {
			t.Errorf("%q is %q, want %q: %v", v.Path, got, v.Canonical, err)
		}
	}
}

// TestCanonicalLength checks that the limit applies to the length of the
// decoded path, in any spelling.
func TestCanonicalLength(t *testing.T) {
	for _, c := range []struct {
		part string
		n    int // bytes of the decoded path
	}{{"a", 1}, {"|", 1}, {"%7c", 1}, {"%41", 1}, {"%2F", 1}, {"日", 3}, {"%E6%97%A5", 3}, {"%", 1}, {"..", 2}} {
		longest := strings.Repeat(c.part, (MaxLength-1)/c.n)
		if _, err := Canonical("/" + longest); err != nil {
			t.Errorf("%q: %v", c.part, err)
		}
		if _, err := Canonical("/" + longest + c.part); err == nil {
			t.Errorf("%q: a path of more than %d bytes is none", c.part, MaxLength)
		}
	}
}

func TestCanonicalRefusesRelativePaths(t *testing.T) {
	for _, path := range []string{"", "ws", ".", "%2Fws", "*", "?"} {
		if got, err := Canonical(path); err == nil {
			t.Errorf("%q is %q", path, got)
		}
	}
}

func TestSent(t *testing.T) {
	for sent, want := range map[string]string{
		"/a%2Fb":   "/a%2Fb",
		"/a%2Fb|c": "/a%2Fb|c", // EscapedPath has "/a/b%7Cc"
		"/a%2fb日":  "/a%2fb日",
		"/a|b":     "/a|b",
		"/a%7Cb":   "/a%7Cb",
		"/a b":     "/a%20b",
	} {
		u := &url.URL{}
		if err := setPath(u, sent); err != nil {
			t.Fatal(err)
		}
		if got := Sent(u); got != want {
			t.Errorf("%q: %q, want %q", sent, got, want)
		}
		u.Path = "/other" // as http.StripPrefix and others do
		if got := Sent(u); got != "/other" {
			t.Errorf("%q for a path that was replaced", got)
		}
	}
}

// setPath sets a path as net/url does when it parses a URL.
func setPath(u *url.URL, path string) error {
	parsed, err := url.ParseRequestURI(strings.ReplaceAll(path, " ", "%20"))
	if err == nil {
		*u = *parsed
	}
	return err
}

func TestEscapeKeepsEscapes(t *testing.T) {
	for path, want := range map[string]string{
		"/a%2fb|c": "/a%2fb%7Cc", "/%41%2e/../": "/%41%2e/../", "/日 %": "/%E6%97%A5%20%25", "/ws": "/ws",
	} {
		if got := Escape(path); got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

func TestHasDots(t *testing.T) {
	for path, want := range map[string]bool{
		"/.": true, "/a/../b": true, "/a/%2e%2E": true, "/.%2e/": true,
		"/": false, "/a.b": false, "/...": false, "/a%2F..%2Fb": false, "/..a": false,
	} {
		if HasDots(path) != want {
			t.Errorf("%q: got %v, want %v", path, !want, want)
		}
	}
}

// FuzzCanonical checks that a canonical path is its own canonical form, decodes
// to the same bytes as the path unless that has dots, and net/url sends it
// unchanged.
func FuzzCanonical(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		canonical, err := Canonical(path)
		if err != nil {
			return
		}
		if again, err := Canonical(canonical); err != nil || again != canonical {
			t.Fatalf("%q is %q, and that %q: %v", path, canonical, again, err)
		}
		if HasDots(canonical) {
			t.Fatalf("%q is %q, which has dots", path, canonical)
		}
		u := &url.URL{}
		if u.Path, err = url.PathUnescape(canonical); err != nil {
			t.Fatalf("%q: %v", canonical, err)
		}
		if u.RawPath = canonical; u.EscapedPath() != canonical || Sent(u) != canonical || Escape(canonical) != canonical {
			t.Fatalf("%q is sent as %q", canonical, u.EscapedPath())
		}
		if slashes := strings.Count(path, "/"); !HasDots(path) && strings.Count(canonical, "/") != slashes {
			t.Fatalf("%q is %q: other slashes", path, canonical)
		}
		if decoded, err := url.PathUnescape(path); err == nil && !HasDots(path) && decoded != u.Path {
			t.Fatalf("%q is %q: other bytes", path, canonical)
		}
	})
}

// TestClean checks that the result does not depend on a leading slash.
func TestClean(t *testing.T) {
	for p, want := range map[string]string{
		"": "/", "/": "/", "//": "/", "a": "/a", "/a": "/a", "//a": "/a", "/a/": "/a/", "a/": "/a/", "/a//b": "/a/b",
		"/a/../b": "/b", "/../a": "/a", "../a": "/a", "/a/./b/": "/a/b/", "/..": "/", "/./": "/", "/a/..": "/",
	} {
		if got := Clean(p); got != want {
			t.Errorf("Clean(%q) = %q, want %q", p, got, want)
		}
	}
}
