package gateway

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"wsauth"
	"wsauth/internal/upstream"
)

// demoHeader tells the backend of the demonstration which socket it serves. Its values cannot be guessed.
const demoHeader = "X-Wsauth-Demo"

// A demo is the backend of the demonstration: an echo server in this process, behind a route like any other. What other backends
// cannot do, it does by looking the session of its socket up: it says hello with the claims, and tells of renewals.
type demo struct {
	listener *memoryListener
	server   *http.Server
	serving  sync.WaitGroup
	proxy    *proxy

	mu      sync.Mutex
	expects map[string]context.Context // of guarded requests that are on their way, by the value of demoHeader
}

// openDemo starts the backend and makes the route to it.
func (g *Gateway) openDemo() (*demo, error) {
	d := &demo{listener: newMemoryListener(), expects: map[string]context.Context{}}
	route, err := Route{
		Path:      socketPath,
		Upstreams: []string{"unix:/demo"},
		Refusal:   wsauth.RefuseClose,
		Headers:   map[string]string{},
		Limits:    RouteLimits{Ping: -1}, // a terminal client need not read, and is there all the same
	}.withDefaults()
	if err != nil {
		return nil, err
	}
	if d.proxy, err = g.newProxy(route, upstream.Config{Dial: d.listener.Dial}); err != nil {
		return nil, err
	}
	d.proxy.announce, d.proxy.label = d.expect, g.metrics.begin(route.name())
	d.server = &http.Server{Handler: http.HandlerFunc(d.serve), ReadHeaderTimeout: 5 * time.Second}
	d.serving.Go(func() { _ = d.server.Serve(d.listener) }) // its error is that of close
	return d, nil
}

// close stops the backend, whose sockets are gone already.
func (d *demo) close() {
	d.proxy.pool.Close()
	_ = d.server.Close() // of a listener that is none
	d.serving.Wait()
}

// expect notes a request that is about to reach the backend, and returns the field that tells which it is.
func (d *demo) expect(ctx context.Context) (name, value string) {
	id := rand.Text()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expects[id] = ctx
	context.AfterFunc(ctx, func() { d.take(id) }) // where it never arrives
	return demoHeader, id
}

// take returns the context of an expected request, once; nil if it is not expected.
func (d *demo) take(id string) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx := d.expects[id]
	delete(d.expects, id)
	return ctx
}

// serve answers what comes through the gateway: sockets only.
func (d *demo) serve(w http.ResponseWriter, r *http.Request) {
	ctx := d.take(r.Header.Get(demoHeader))
	if ctx == nil {
		http.Error(w, "nobody said that you would come", http.StatusForbidden)
		return
	}
	d.serving.Add(1)
	defer d.serving.Done()
	echo(w, r.WithContext(ctx))
}
