package gateway

import (
	"net/http"
	"testing"
)

// TestPlainRequestsAllocateNothing: what every handshake passes allocates
// nothing for the usual path and host.
func TestPlainRequestsAllocateNothing(t *testing.T) {
	for name, f := range map[string]func(){
		"path":           func() { isPlain("/chat/room", "/chat/room") },
		"host":           func() { hostOf(&http.Request{Host: "app.example"}) },
		"host with port": func() { hostOf(&http.Request{Host: "app.example:8443"}) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestClean: a path is clean whether or not it begins with a slash.
func TestClean(t *testing.T) {
	for p, want := range map[string]string{
		"": "/", "/": "/", "//": "/", "a": "/a", "/a": "/a", "//a": "/a", "/a/": "/a/", "a/": "/a/", "/a//b": "/a/b",
		"/a/../b": "/b", "/../a": "/a", "../a": "/a", "/a/./b/": "/a/b/", "/..": "/", "/./": "/", "/a/..": "/",
	} {
		if got := clean(p); got != want {
			t.Errorf("clean(%q) = %q, want %q", p, got, want)
		}
	}
}
