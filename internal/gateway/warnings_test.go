package gateway

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"wsauth/internal/gateway/proxy"
)

func TestRedirects(t *testing.T) {
	at := []string{"http://127.0.0.1:9000"}
	routes := []proxy.Route{
		{Path: "/", Upstreams: at, Public: true}, {Path: "/admin/", Upstreams: at}, {Path: "/ws", Upstreams: at}, {Path: "/both", Upstreams: at}, {Path: "/both/", Upstreams: at},
		{Path: "/pub/", Upstreams: at, Public: true}, {Path: "/pub/a", Upstreams: at}, {Host: "*.example", Path: "/h/", Upstreams: at}, {Path: "/admin/in/", Upstreams: at},
	}
	want := []proxy.Redirect{{From: "/admin", To: "/admin/"}, {From: "/ws/", To: "/ws"}, {From: "/pub/a/", To: "/pub/a"}, {From: "*.example/h", To: "*.example/h/"}, {From: "/admin/in", To: "/admin/in/"}}
	if got := proxy.Redirects(routes); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r := start(t, func(c *Config) { c.Routes = routes })
	for _, redirect := range want {
		host, path, _ := strings.Cut(redirect.From, "/")
		e := r.get("/"+path, "Host: "+cmp.Or(strings.ReplaceAll(host, "*", "b"), "x"))
		_, to, _ := strings.Cut(redirect.To, "/")
		if e.StatusCode != 307 || e.Header.Get("Location") != "/"+to {
			t.Errorf("%s: %d %v", redirect.From, e.StatusCode, e.Header)
		}
	}
}
