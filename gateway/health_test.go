package gateway

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// A patient is a backend that is asked how it is.
type patient struct {
	*backend
	ill   atomic.Bool
	asked chan struct{} // one question
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{backend: newBackend(t), asked: make(chan struct{})}
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			p.ServeHTTP(w, r)
			return
		}
		if p.ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		select {
		case p.asked <- struct{}{}:
		default: // nobody waits for it
		}
	})
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

// TestHealthOfARoute: sockets go to the upstreams in turn; one that is not well gets none until it is, and keeps those that it has.
func TestHealthOfARoute(t *testing.T) {
	all := []*patient{newPatient(t), newPatient(t), newPatient(t)}
	r := start(t, func(c *Config) {
		route := Route{Path: "/", Health: Health{Path: "/healthz", Every: 100 * time.Millisecond}}
		for _, p := range all {
			route.Upstreams = append(route.Upstreams, p.URL)
		}
		c.Routes = []Route{route}
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
