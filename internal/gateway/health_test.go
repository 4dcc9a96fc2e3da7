package gateway

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

// A patient is a backend that is asked how it is.
type patient struct {
	*backend
	ill    atomic.Bool
	checks atomic.Int64
	asked  chan struct{} // one question
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{backend: &backend{}, asked: make(chan struct{})}
	p.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			p.ServeHTTP(w, r)
			return
		}
		p.checks.Add(1)
		if p.ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		select {
		case p.asked <- struct{}{}:
		default: // nobody waits for it
		}
	}))
	return p
}

// becomes changes how it is, and waits until the gateway knows.
func (p *patient) becomes(t *testing.T, ill bool) {
	t.Helper()
	p.ill.Store(ill)
	for range 3 { // the first may have been answered before, and the answer to the second was seen when the third question comes
		select {
		case <-p.asked:
		case <-time.After(10 * time.Second):
			t.Fatal("it is not asked")
		}
	}
}

// TestHealthOfARoute checks that sockets go to the upstreams in turn, and that
// an unhealthy upstream gets no new sockets but keeps those it has.
func TestHealthOfARoute(t *testing.T) {
	all := []*patient{newPatient(t), newPatient(t), newPatient(t)}
	r := start(t, func(c *Config) {
		route := proxy.Route{Path: "/", Health: proxy.Health{Path: "/healthz", Every: 100 * time.Millisecond}}
		for _, p := range all {
			route.Upstreams = append(route.Upstreams, p.URL)
		}
		c.Routes = []proxy.Route{route}
	})
	access, _ := r.login()
	for i := range 9 {
		conn := r.socket("/chat", bearer(access))
		if n := all[i%3].count(); n != i/3+1 {
			t.Fatalf("socket %d: upstream %d has %d", i, i%3, n)
		}
		if i == 1 {
			defer r.echoOf(conn, "still here")
		}
	}
	all[1].becomes(t, true)
	for range 6 {
		r.socket("/chat", bearer(access))
	}
	if n := all[1].count(); n != 3 || all[0].count()+all[2].count() != 12 {
		t.Errorf("who is ill has %d, the others %d and %d", n, all[0].count(), all[2].count())
	}
	all[1].becomes(t, false)
	for range 3 {
		r.socket("/chat", bearer(access))
	}
	if n := all[1].count(); n != 4 {
		t.Errorf("who is well again has %d", n)
	}
}

// wantNextCheck waits until p has been asked again.
func (p *patient) wantNextCheck(t *testing.T) {
	t.Helper()
	select {
	case <-p.asked:
	case <-time.After(10 * time.Second):
		t.Fatal("no health check")
	}
}

// TestHealthChecksOfManyRoutes: routes to one upstream share its check, also
// over an update, until the last of them is gone.
func TestHealthChecksOfManyRoutes(t *testing.T) {
	const every = 200 * time.Millisecond
	shared, other := newPatient(t), newPatient(t)
	route := func(path string, upstreams ...string) proxy.Route {
		return proxy.Route{Path: path, Upstreams: upstreams, Public: true, Health: proxy.Health{Path: "/healthz", Every: every}}
	}
	var many []proxy.Route
	for i := range 1000 {
		many = append(many, route(fmt.Sprintf("/r%d/", i), shared.URL))
	}
	r := start(t, func(c *Config) { c.Routes = many })
	// The first two come at random times. Each of a thousand checks would make
	// the next five come at once.
	shared.wantNextCheck(t)
	shared.wantNextCheck(t)
	began := time.Now()
	for range 5 {
		shared.wantNextCheck(t)
	}
	if took := time.Since(began); took < 3*every {
		t.Errorf("five checks in %v, of one every %v", took, every)
	}

	shared.becomes(t, true)
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
		t.Errorf("an upstream that the routes before knew to be ill got %d requests of a new route", n)
	}
	shared.becomes(t, false) // is still asked

	if err := r.g.Update([]proxy.Route{route("/", other.URL)}); err != nil {
		t.Fatal(err)
	}
	gone := shared.checks.Load()
	for range 5 {
		other.wantNextCheck(t)
	}
	if n := shared.checks.Load() - gone; n > 1 { // one may be on its way
		t.Errorf("an upstream without a route was asked %d times", n)
	}
}
