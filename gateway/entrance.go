package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
)

// entrance accepts client connections on the event loops. If the first bytes
// of a connection are a plain WebSocket handshake, the loop parses it and
// serves it directly or in a goroutine, which saves about a fifth of its cost.
// Every other connection is handed to net/http: entrance implements
// net.Listener for it.
type entrance struct {
	gateway *Gateway
	ctx     context.Context // the parent of handshakes' contexts, with values of net/http
	addr    net.Addr
	stop    func()
	conns   chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

// enter returns the listener for server: an entrance or, if the event loops
// cannot accept the clients of l, l itself with limits.
func (g *Gateway) enter(l net.Listener, server *http.Server) net.Listener {
	e := &entrance{
		gateway: g,
		ctx:     context.WithValue(context.Background(), http.ServerContextKey, server),
		addr:    l.Addr(),
		conns:   make(chan net.Conn),
		closed:  make(chan struct{}),
	}
	// Connections that a loop accepts inherit only the options of the
	// listener. If Adopt fails, its options stay as they are.
	_ = Adopt(l)
	clients := &acceptor{
		loops:    g.events,
		limiter:  g.connections,
		proxies:  g.clients.rules(),
		patience: server.ReadHeaderTimeout,
		first:    e.first,
		failed:   e.failed,
	}
	var ok bool
	if e.stop, ok = clients.listen(l); !ok {
		return g.listen(l)
	}
	return e
}

// first serves or passes on a connection by its first bytes; see [acceptor].
func (e *entrance) first(conn *clientConn, data []byte, idle bool) {
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

// pass hands a connection to net/http.
func (e *entrance) pass(conn net.Conn) {
	select {
	case e.conns <- conn:
	case <-e.closed:
		_ = conn.Close()
	}
}

// failed logs that no client can be accepted at the moment; see [acceptor].
func (e *entrance) failed(err error) {
	e.gateway.log.LogAttrs(e.ctx, slog.LevelWarn, "cannot accept clients for the moment", slog.Any("error", err))
}

// Accept implements [net.Listener]. It returns the connections for net/http.
func (e *entrance) Accept() (net.Conn, error) {
	select {
	case conn := <-e.conns:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (e *entrance) Close() error {
	e.closing.Do(func() {
		close(e.closed)
		e.stop()
	})
	return nil
}

// Addr implements [net.Listener].
func (e *entrance) Addr() net.Addr { return e.addr }
