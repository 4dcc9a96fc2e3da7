package front

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth/internal/forwarded"
)

// newClients returns clients that log to log and trust these networks.
func newClients(t *testing.T, log *bytes.Buffer, source forwarded.Source, trusted ...string) *clients {
	t.Helper()
	networks, err := forwarded.ParseNetworks(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return &clients{log: slog.New(slog.NewTextHandler(log, nil)), policy: forwarded.Policy{Source: source, Trusted: networks}}
}

// TestMissingSettingIsHinted checks that the log suggests trusted_proxies only
// for a peer in a private network: a client on the Internet can send any
// header.
func TestMissingSettingIsHinted(t *testing.T) {
	log := &bytes.Buffer{}
	c := newClients(t, log, forwarded.XForwardedFor)
	for peer, want := range map[string]bool{"203.0.113.9:1": false, "[2001:db8::1]:1": false, "10.1.2.3:1": true, "[fd00::1]:1": true, "@": true} {
		q := httptest.NewRequest("GET", "/", nil)
		q.RemoteAddr = peer
		q.Header.Set("X-Forwarded-For", "192.0.2.1")
		c.hinted.Store(false)
		before := log.Len()
		if c.identify(q, nil); (log.Len() > before) != want {
			t.Errorf("%s: a line is %v", peer, !want)
		}
	}
}

// TestDirectClientsCostNothing checks that a request of a client without a
// proxy allocates nothing, with and without trusted proxies.
func TestDirectClientsCostNothing(t *testing.T) {
	log := &bytes.Buffer{}
	for name, c := range map[string]*clients{
		"no proxies":     newClients(t, log, forwarded.XForwardedFor),
		"another":        newClients(t, log, forwarded.XForwardedFor, "10.0.0.0/8", "::1", "unix"),
		"PROXY protocol": newClients(t, log, forwarded.ProxyProtocol, "127.0.0.1"),
	} {
		r := httptest.NewRequest("GET", "/ws", nil)
		r.RemoteAddr = "192.0.2.1:5000"
		if n := testing.AllocsPerRun(100, func() {
			if c.identify(r, nil) != r {
				t.Fatal("got another request")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestProxyOfAnotherSource checks that the log says once that a trusted proxy
// names its clients in a header that is not read, and never shows its value.
func TestProxyOfAnotherSource(t *testing.T) {
	for source, lines := range map[forwarded.Source]map[string]bool{
		forwarded.XForwardedFor: {"Forwarded: for=192.0.2.1": true, "X-Forwarded-For: unknown": false, "X-Forwarded-For: 192.0.2.1": false, "": false},
		forwarded.Forwarded:     {"X-Forwarded-For: 192.0.2.1": true, "Forwarded: for=unknown": false, "Forwarded: for=192.0.2.1": false, "": false},
	} {
		for line, want := range lines {
			log := &bytes.Buffer{}
			c := newClients(t, log, source, "10.0.0.1")
			q := httptest.NewRequest("GET", "/", nil)
			q.RemoteAddr = "10.0.0.1:5000"
			if name, value, ok := strings.Cut(line, ": "); ok {
				q.Header.Set(name, value)
			}
			for range 2 {
				c.identify(q, nil)
			}
			text := log.String()
			if n := strings.Count(text, "forwarded_source"); (n == 1) != want || n > 1 || strings.Contains(text, "192.0.2.1") {
				t.Errorf("%s, %q: the log has %q", source, line, text)
			}
		}
	}
}
