package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

// TestLoops checks that requests and sockets of a route that leads back to the
// gateway end, with and without another server in between.
func TestLoops(t *testing.T) {
	b := newBackend(t)
	for _, between := range []bool{false, true} {
		r := start(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/x", Upstreams: []string{b.URL}}} })
		at := []string{r.URL}
		if between {
			if at[0] = behindNginx(t, r.URL); t.Skipped() {
				continue
			}
		}
		routes := []proxy.Route{{Path: "/", Upstreams: at, Public: true, Sockets: true, Response: 5 * time.Second}, {Path: "/x", Upstreams: []string{b.URL}, Public: true}}
		if err := r.g.Update(routes); err != nil {
			t.Fatal(err)
		}
		r.get("/a").WantProblem(t, http.StatusLoopDetected, "loop_detected", "leads back")
		r.get("/a", "CDN-Loop: other; v=1").WantProblem(t, http.StatusLoopDetected, "loop_detected", "leads back")
		if _, resp, err := r.DialPath("/a", nil); err == nil || resp == nil || resp.StatusCode != http.StatusLoopDetected {
			t.Errorf("a socket: %v", err)
		}
		r.count(`http_requests_total{code="508",route="/"}`, strconv.Itoa(2*proxy.MaxRounds+2))
		if n := strings.Count(r.log.String(), "a request has looped"); n != 3 {
			t.Errorf("%d loops are logged, want 3", n)
		}
	}
}

// TestLoopMarks checks that the gateway adds to the marks of others, and
// ignores those of other gateways.
func TestLoopMarks(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b)
	r.get("/public/a")
	own := b.last().Header.Get("Cdn-Loop")
	if !strings.HasPrefix(own, "wsauth-") {
		t.Fatalf("the gateway calls itself %q", own)
	}
	for _, lines := range [][]string{nil, {"CDN-Loop: other, another; a=1"}, {"Cdn-Loop: one", "cdn-loop: wsauth-AAAAAAAAAAAA"}} {
		if e := r.get("/public/a", lines...); e.StatusCode != http.StatusOK {
			t.Errorf("%q: got %d %s, want %v", lines, e.StatusCode, e.Text, http.StatusOK)
		}
		got := b.last().Header["Cdn-Loop"]
		if len(got) != len(lines)+1 || got[len(lines)] != own {
			t.Errorf("%q: the upstream has got %q", lines, got)
		}
		conn, _, err := r.DialPath("/public/a", nil, lines...)
		if err != nil {
			t.Fatalf("%q: %v", lines, err)
		}
		conn.CloseNow()
		if got := b.last().Header["Cdn-Loop"]; len(got) != len(lines)+1 || got[len(lines)] != own {
			t.Errorf("%q: the upstream of a socket has got %q", lines, got)
		}
	}
}
