package gateway

import (
	"net/http"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
)

// TestRefusedUpgradesCloseTheConnection: whatever refuses a handshake, what
// the client sends behind it is not read as a request.
func TestRefusedUpgradesCloseTheConnection(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/chat", Upstreams: []string{newBackend(t).URL}}}
	})
	for _, tt := range []struct {
		target, host string
		status       int
	}{
		{"/chat", "a_b..example", http.StatusBadRequest},
		{"/nothing", "app.example", http.StatusNotFound},
		{"/chat%2f", "app.example", http.StatusBadRequest},
		{"/chat", "app.example", http.StatusUnauthorized},
		{"/auth/login", "app.example", http.StatusMethodNotAllowed},
		{"/auth/nothing", "app.example", http.StatusNotFound},
	} {
		e := r.exactly("GET "+tt.target+" HTTP/1.1", append(upgradeLines, "Host: "+tt.host)...)
		if e.StatusCode != tt.status || !e.Close || !strings.HasPrefix(e.Header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s of %s: status %d, closes: %v, %s", tt.target, tt.host, e.StatusCode, e.Close, e.Header.Get("Content-Type"))
		}
	}
}
