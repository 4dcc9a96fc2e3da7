package gateway

import (
	"strings"
	"testing"
)

// TestMetricsOfARemovedRoute: sockets that end because their route is gone bring none of its series back, and take nothing from a route
// that has its name later.
func TestMetricsOfARemovedRoute(t *testing.T) {
	b := newBackend(t)
	stays, goes := Route{Path: "/", Upstreams: []string{b.URL}}, Route{Path: "/goes/", Upstreams: []string{b.URL}}
	for name, later := range map[string][]Route{"gone": {stays}, "back": {stays, goes}} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(c *Config) { c.Routes = []Route{stays, goes} })
			access, _ := r.login()
			first, second := r.socket("/goes/x", bearer(access)), r.socket("/goes/y", bearer(access))
			r.count(`sockets{route="/goes/"}`, "2")
			for _, routes := range [][]Route{{stays}, later} {
				if err := r.g.Update(routes); err != nil {
					t.Fatal(err)
				}
			}
			r.wantClose(first, 1012, "restarting")
			r.wantClose(second, 1012, "restarting")
			if err := r.g.Shutdown(t.Context()); err != nil { // after which nothing more is told
				t.Fatal(err)
			}
			for sample, value := range r.figures() {
				if strings.Contains(sample, `route="/goes/"`) && (value != "0" && !strings.HasPrefix(sample, "upstreams") || name == "gone") {
					t.Errorf("%s is %s", sample, value)
				}
			}
		})
	}
}
