package gateway

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"wsauth/internal/idptest"
)

func idempotencyKey(key string) string { return "Idempotency-Key: " + key }

// TestDeviceCookieStaysHere checks that upstreams can neither see nor set the
// cookie of a device.
func TestDeviceCookieStaysHere(t *testing.T) {
	b := &backend{}
	b.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = []string{r.URL.RawQuery + "=x; Path=/", "theirs=1"}
		b.ServeHTTP(w, r)
	}))
	r := serveBehind(t, b)
	for _, name := range []string{"login_device", "__Host-login_device", "__Secure-login_device"} {
		r.get("/public/a", "Cookie: "+name+"=x; theirs=1")
		if got := b.last().Header.Get("Cookie"); got != "theirs=1" {
			t.Errorf("an upstream gets the cookies %q", got)
		}
		if set := r.get("/public/a?" + name).Header["Set-Cookie"]; !slices.Equal(set, []string{"theirs=1"}) {
			t.Errorf("an upstream sets %q", set)
		}
	}
}

// TestLogoutEverywhereWithAProvidersClockAhead checks that logout everywhere
// ends tokens of a provider whose clock is ahead, and their sockets.
func TestLogoutEverywhereWithAProvidersClockAhead(t *testing.T) {
	p := idptest.New(t)
	r := start(t, withProvider(p))
	access := p.AccessToken("ada", "s1", map[string]any{"iat": time.Now().Unix() + 20})
	conn := r.openEcho(access)
	other := r.openEcho(p.AccessToken("bert", "s2", map[string]any{"iat": time.Now().Unix() + 20}))
	if e := r.Call("POST", "/auth/logout-everywhere", "", bearer(access)); e.StatusCode != http.StatusOK || e.Decode(t)["sockets"] != float64(1) {
		t.Errorf("got %d %s", e.StatusCode, e.Text)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
	r.wantOpen(other)
}
