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

// demoHeader is the header by which the backend of the demonstration finds the
// socket that it serves. Its values cannot be guessed.
const demoHeader = "X-Wsauth-Demo"

// A demo is the backend of the demonstration: an echo server in this process,
// behind a route like any other. Unlike other backends, it has access to the
// guard's socket, so it can send the claims and announce renewals.
type demo struct {
	listener *memoryListener
	server   *http.Server
	serving  sync.WaitGroup
	proxy    *proxy

	mu sync.Mutex
	// expects holds the contexts of guarded requests on their way to serve, by
	// the value of demoHeader.
	expects map[string]context.Context
}

// openDemo starts the backend and creates its route.
func (g *Gateway) openDemo() (*demo, error) {
	d := &demo{listener: newMemoryListener(), expects: map[string]context.Context{}}
	route, err := Route{
		Path:      socketPath,
		Upstreams: []string{"unix:/demo"},
		Refusal:   wsauth.RefuseClose,
		Headers:   map[string]string{},
		Limits:    RouteLimits{Ping: -1}, // terminal clients may not read, nor answer pings
	}.withDefaults()
	if err != nil {
		return nil, err
	}
	if d.proxy, err = g.routes.newProxy(route, upstream.Config{Dial: d.listener.Dial}); err != nil {
		return nil, err
	}
	d.proxy.announce, d.proxy.label = d.expect, g.recorder.AddRoute(route.name())
	d.server = &http.Server{Handler: http.HandlerFunc(d.serve), ReadHeaderTimeout: 5 * time.Second}
	d.serving.Go(func() { _ = d.server.Serve(d.listener) }) // it returns after close
	return d, nil
}

// close stops the backend. Its sockets must have ended.
func (d *demo) close() {
	d.proxy.pool.Close()
	_ = d.server.Close() // a memoryListener closes without error
	d.serving.Wait()
}

// expect registers a request that is about to reach the backend. It returns
// the header field by which serve recognizes it.
func (d *demo) expect(ctx context.Context) (name, value string) {
	id := rand.Text()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expects[id] = ctx
	context.AfterFunc(ctx, func() { d.take(id) }) // in case it never arrives
	return demoHeader, id
}

// take returns the context of an expected request, once, and nil for any
// other.
func (d *demo) take(id string) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx := d.expects[id]
	delete(d.expects, id)
	return ctx
}

// serve answers requests from the gateway, which are all for sockets.
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
