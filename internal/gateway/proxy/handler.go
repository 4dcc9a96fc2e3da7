package proxy

import (
	"context"
	"net"
	"net/http"

	"wsauth/internal/upstream"
)

// A LocalServer is an upstream in this process.
type LocalServer interface {
	// Dial connects to the server.
	Dial(ctx context.Context) (net.Conn, error)

	// Announce returns a header field that the next handshake must carry. ctx
	// is the context of its socket.
	Announce(ctx context.Context) (name, value string)

	// Close stops the server. Its sockets must have ended.
	Close()
}

// A Handler serves a route to a [LocalServer]. The route is not in the table of
// its [Routes].
type Handler struct{ proxy *proxy }

// Handler returns a handler for a route to a server. The server is closed
// together with the routes, or if Handler fails. Call Handler before any
// request is served.
func (rs *Routes) Handler(r Route, server LocalServer) (*Handler, error) {
	r, err := r.withDefaults()
	var p *proxy
	if err == nil {
		p, err = rs.newProxy(r, upstream.Config{Dial: server.Dial})
	}
	if err != nil {
		server.Close()
		return nil, err
	}
	p.local, p.label = server, rs.config.Recorder.AddRoute(r.name())
	h := &Handler{p}
	rs.local = append(rs.local, h)
	return h, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.proxy.ServeHTTP(w, r) }

// close closes the connections to the server, and the server.
func (h *Handler) close() {
	h.proxy.pool.Close()
	h.proxy.local.Close()
}
