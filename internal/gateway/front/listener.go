package front

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"wsauth/internal/proxyproto"
)

// A listener accepts client connections on the event loops. If the first bytes
// of a connection are a WebSocket handshake in its usual form, the event loop
// parses it and calls Config.Handshake, which saves about a fifth of its cost.
// Every other connection is handed to net/http: listener implements
// net.Listener for it.
type listener struct {
	server  *Server
	ctx     context.Context // the parent of handshakes' contexts, with values of net/http
	addr    net.Addr
	stop    func()
	conns   chan net.Conn
	closing sync.Once
	closed  chan struct{}
}

// listen returns the listener for plain HTTP: one on the event loops or, if
// these cannot accept the clients of l, l itself with limits.
func (s *Server) listen(l net.Listener, server *http.Server) net.Listener {
	on := &listener{
		server: s,
		ctx:    context.WithValue(context.Background(), http.ServerContextKey, server),
		addr:   l.Addr(),
		conns:  make(chan net.Conn),
		closed: make(chan struct{}),
	}
	// Connections that a loop accepts inherit only the options of the listener.
	// If Adopt fails, the options of l stay as they are.
	_ = Adopt(l)
	clients := &acceptor{
		loops:    s.events,
		limiter:  s.limiter,
		proxies:  s.clients.rules(s.HeaderTimeout),
		patience: server.ReadHeaderTimeout,
		received: on.received,
		failed:   on.logFailure,
	}
	var ok bool
	if on.stop, ok = clients.listen(l); !ok {
		return s.limit(l)
	}
	return on
}

// limit wraps l in the limits and the PROXY protocol, for net/http.
func (s *Server) limit(l net.Listener) net.Listener {
	l = s.limiter.Listener(l)
	if rules := s.clients.rules(s.HeaderTimeout); rules != nil {
		return proxyproto.Listen(l, *rules)
	}
	return l
}

// received serves the handshake with which a connection begins. It hands every
// other connection over to net/http; see [acceptor].
func (l *listener) received(conn *clientConn, data []byte, idle bool) {
	r := ReadHandshake(data)
	if r == nil {
		conn.Unread(bytes.Clone(data))
		go l.handOver(conn)
		return
	}
	r = r.WithContext(l.ctx)
	r.RemoteAddr = conn.RemoteAddr().String()
	s := l.server
	s.handshake(s.NewHandshake(conn, idle), s.clients.identify(r, conn.Header()))
}

// handOver hands a connection to net/http.
func (l *listener) handOver(conn net.Conn) {
	select {
	case l.conns <- conn:
	case <-l.closed:
		_ = conn.Close()
	}
}

// logFailure logs that no client can be accepted at the moment; see [acceptor].
func (l *listener) logFailure(err error) {
	l.server.log.LogAttrs(l.ctx, slog.LevelWarn, "cannot accept clients for the moment", slog.Any("error", err))
}

// Accept implements [net.Listener]. It returns the connections for net/http.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.closing.Do(func() {
		close(l.closed)
		l.stop()
	})
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return l.addr }
