package gateway

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

// A checkedBackend is a backend with health checks.
type checkedBackend struct {
	*backend
	unhealthy atomic.Bool
	checks    atomic.Int64
	requests  chan struct{} // receives a value at each health check that a test waits for
}

func newCheckedBackend(t *testing.T) *checkedBackend {
	t.Helper()
	p := &checkedBackend{backend: &backend{}, requests: make(chan struct{})}
	p.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			p.ServeHTTP(w, r)
			return
		}
		p.checks.Add(1)
		if p.unhealthy.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		select {
		case p.requests <- struct{}{}:
		default: // no test waits for it
		}
	}))
	return p
}

// setUnhealthy sets whether the backend fails its health checks, and waits
// until the gateway knows.
func (p *checkedBackend) setUnhealthy(t *testing.T, unhealthy bool) {
	t.Helper()
	p.unhealthy.Store(unhealthy)
	// The first check may have been answered before. The gateway has processed
	// the second answer when it sends the third check.
	for range 3 {
		select {
		case <-p.requests:
		case <-time.After(10 * time.Second):
			t.Fatal("no health check")
		}
	}
}

// TestHealthOfARoute checks that sockets go to the upstreams in turn, and that
// an unhealthy upstream gets no new sockets but keeps those it has.
func TestHealthOfARoute(t *testing.T) {
	all := []*checkedBackend{newCheckedBackend(t), newCheckedBackend(t), newCheckedBackend(t)}
	r := start(t, func(c *Config) {
		route := proxy.Route{Path: "/", Health: proxy.Health{Path: "/healthz", Every: 100 * time.Millisecond}}
		for _, p := range all {
			route.Upstreams = append(route.Upstreams, p.URL)
		}
		c.Routes = []proxy.Route{route}
	})
	access, _ := r.Login()
	for i := range 9 {
		conn := r.socket("/chat", bearer(access))
		if n := all[i%3].count(); n != i/3+1 {
			t.Fatalf("socket %d: upstream %d has %d", i, i%3, n)
		}
		if i == 1 {
			defer r.WantEcho(conn, "still here")
		}
	}
	all[1].setUnhealthy(t, true)
	for range 6 {
		r.socket("/chat", bearer(access))
	}
	if n := all[1].count(); n != 3 || all[0].count()+all[2].count() != 12 {
		t.Errorf("the unhealthy upstream has %d sockets, the others %d and %d", n, all[0].count(), all[2].count())
	}
	all[1].setUnhealthy(t, false)
	for range 3 {
		r.socket("/chat", bearer(access))
	}
	if n := all[1].count(); n != 4 {
		t.Errorf("the upstream that is healthy again has %d sockets", n)
	}
}

// wantNextCheck waits for the next health check.
func (p *checkedBackend) wantNextCheck(t *testing.T) {
	t.Helper()
	select {
	case <-p.requests:
	case <-time.After(10 * time.Second):
		t.Fatal("no health check")
	}
}

// TestHealthChecksOfManyRoutes checks that routes to one upstream share its
// health check, even after an update, until the last of them is removed.
func TestHealthChecksOfManyRoutes(t *testing.T) {
	t.Parallel() // it waits for many health checks
	const every = 200 * time.Millisecond
	shared, other := newCheckedBackend(t), newCheckedBackend(t)
	route := func(path string, upstreams ...string) proxy.Route {
		return proxy.Route{Path: path, Upstreams: upstreams, Public: true, Health: proxy.Health{Path: "/healthz", Every: every}}
	}
	var many []proxy.Route
	for i := range 1000 {
		many = append(many, route(fmt.Sprintf("/r%d/", i), shared.URL))
	}
	r := start(t, func(c *Config) { c.Routes = many })
	// The first two come at random times. If each of the thousand routes had
	// its own check, the next five would come at once.
	shared.wantNextCheck(t)
	shared.wantNextCheck(t)
	began := time.Now()
	for range 5 {
		shared.wantNextCheck(t)
	}
	if took := time.Since(began); took < 3*every {
		t.Errorf("five checks in %v, of one every %v", took, every)
	}

	shared.setUnhealthy(t, true)
	if err := r.g.Update(append(many[1:500:500], route("/new/", shared.URL, other.URL))); err != nil {
		t.Fatal(err)
	}
	before := shared.count()
	for range 4 {
		if e := r.get("/new/a"); e.StatusCode != http.StatusOK {
			t.Errorf("status %d", e.StatusCode)
		}
	}
	if n := shared.count() - before; n != 0 {
		t.Errorf("an unhealthy upstream got %d requests of a new route, want none", n)
	}
	shared.setUnhealthy(t, false) // the check continues

	if err := r.g.Update([]proxy.Route{route("/", other.URL)}); err != nil {
		t.Fatal(err)
	}
	gone := shared.checks.Load()
	for range 5 {
		other.wantNextCheck(t)
	}
	if n := shared.checks.Load() - gone; n > 1 { // one may be in flight
		t.Errorf("an upstream without a route got %d health checks", n)
	}
}
