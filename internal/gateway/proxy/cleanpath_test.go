package proxy

import (
	"net/http"
	"testing"
)

// TestPlainRequestsAllocateNothing: the steps for every handshake allocate
// nothing for a usual path and host.
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
