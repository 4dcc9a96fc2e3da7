package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"

	"wsauth/internal/relay"
)

// An entrance is where clients come in, where event loops accept them: a handshake that comes first on a connection is read by the loop
// and goes straight to the gateway, and everything else to net/http, for which the entrance is the listener. What net/http does for a
// request beyond reading it, it does for connections that have more than one; that is a fifth of what a handshake costs.
type entrance struct {
	gateway *Gateway
	ctx     context.Context // of handshakes; with what net/http puts there, and the gateway looks for
	addr    net.Addr
	stop    func()
	conns   chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

// enter returns the listener for the server, which is l itself where no loop can accept clients.
func (g *Gateway) enter(l net.Listener, server *http.Server) net.Listener {
	e := &entrance{
		gateway: g,
		ctx:     context.WithValue(context.Background(), http.ServerContextKey, server),
		addr:    l.Addr(),
		conns:   make(chan net.Conn),
		closed:  make(chan struct{}),
	}
	// A loop sets nothing on a client, as net does, that it does not have from the listener. A failure would only leave it so.
	_ = Adopt(l)
	var ok bool
	e.stop, ok = g.carrier.Accept(l, relay.Accept{Patience: server.ReadHeaderTimeout, First: e.first, Failed: e.failed, Limiter: g.connections, Proxies: g.clients.rules()})
	if !ok {
		return g.listen(l)
	}
	return e
}

// first takes a connection and what came first on it. It is called by a loop.
func (e *entrance) first(conn relay.Client, data []byte, idle bool) {
	r := readHandshake(data)
	if r == nil {
		conn.Unread(bytes.Clone(data))
		go e.pass(conn)
		return
	}
	r = r.WithContext(e.ctx)
	r.RemoteAddr = conn.RemoteAddr().String()
	r = e.gateway.clients.identify(r, conn.Header())
	if now := e.gateway.routing.Load(); idle && e.gateway.isQuick(r, now) {
		e.serve(&answer{conn: conn, quick: now}, r)
		return
	}
	go e.serve(&answer{conn: conn}, r)
}

// serve answers a handshake.
func (e *entrance) serve(w *answer, r *http.Request) {
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
			e.gateway.log.Error("panic serving a handshake", "panic", v, "stack", string(debug.Stack()))
		}
		if v != nil && !w.taken {
			_ = w.conn.Close()
			return
		}
		w.finish()
	}()
	e.gateway.serve(w, r)
}

// pass gives a connection to net/http.
func (e *entrance) pass(conn net.Conn) {
	select {
	case e.conns <- conn:
	case <-e.closed:
		_ = conn.Close()
	}
}

// failed says that nobody could be accepted.
func (e *entrance) failed(err error) {
	e.gateway.log.LogAttrs(e.ctx, slog.LevelWarn, "cannot accept clients for the moment", slog.Any("error", err))
}

// Accept returns the next connection for net/http.
func (e *entrance) Accept() (net.Conn, error) {
	select {
	case conn := <-e.conns:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close accepts no more.
func (e *entrance) Close() error {
	e.closing.Do(func() {
		close(e.closed)
		e.stop()
	})
	return nil
}

// Addr is that of the listener.
func (e *entrance) Addr() net.Addr { return e.addr }
