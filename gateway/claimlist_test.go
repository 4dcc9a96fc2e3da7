package gateway

import (
	"slices"
	"strings"
	"testing"

	"wsauth/token"
)

// TestG6_ThroughTheGateway: a plain request and a handshake whose list cannot
// be told reach no upstream, and the log says why.
func TestG6_ThroughTheGateway(t *testing.T) {
	b := newBackend(t)
	for lists, told := range map[HeaderLists]string{ListsByComma: "", ListsAsJSON: `["staff,admin"]`} {
		r := start(t, func(c *Config) {
			c.Routes = []Route{{Path: "/", Upstreams: []string{b.URL}, Headers: map[string]string{"X-Groups": "groups"}, HeaderLists: lists}}
		})
		access := must(r.g.issuer.Access("ada", token.Options{Claims: map[string]any{"groups": []string{"staff,admin"}}})).Raw
		before := b.count()
		e := r.get("/x", bearer(access))
		conn, resp, err := r.trySocket("/x", nil, bearer(access))
		if told == "" {
			if e.StatusCode != 401 || err == nil || resp.StatusCode != 401 || b.count() != before {
				t.Errorf("%s: %d, %v", lists, e.StatusCode, err)
			}
			if log := r.log.String(); !strings.Contains(log, `claim \"groups\": is a list with a comma`) {
				t.Errorf("%s: the log does not say why:\n%s", lists, log)
			}
			continue
		}
		if e.StatusCode != 200 || err != nil {
			t.Fatalf("%s: %d, %v", lists, e.StatusCode, err)
		}
		r.echoOf(conn, "hello")
		if got := b.last().Header["X-Groups"]; !slices.Equal(got, []string{told}) {
			t.Errorf("%s: the upstream is told %q", lists, got)
		}
	}
}
