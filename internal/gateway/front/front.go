// Package front accepts the clients of the gateway and reads their requests.
//
// On Linux, event loops accept plain TCP connections. If the first bytes of a
// connection are a WebSocket handshake in its usual form, the event loop passes
// it on at once. net/http reads all other requests. Package front knows nothing
// of routes. It determines the client of each request, even behind trusted
// proxies, and passes the request to the functions of a [Config].
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
	"wsauth/internal/proxyproto"
)

// A Server accepts connections and reads their requests. It is safe for
// concurrent use.
type Server struct {
	// HeaderTimeout is how long the header of the PROXY protocol may take. It
	// must not be changed while the server serves. Default:
	// [proxyproto.Timeout].
	HeaderTimeout time.Duration

	serve     func(http.ResponseWriter, *http.Request, *connlimit.Place)
	handshake func(*Handshake, *http.Request)
	shutdown  func(context.Context) error

	events      *eventloop.Group
	limiter     *connlimit.Limiter // for clients and upstreams
	clients     *clients
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // nil without TLS
	maxHead     int
	drain       time.Duration
	log         *slog.Logger
	errorLog    *log.Logger
}

// New returns a server for c, which [Config.Check] has returned.
func New(c Config) *Server {
	policy := c.policy()
	return &Server{
		serve:       c.Serve,
		handshake:   c.Handshake,
		shutdown:    c.Shutdown,
		events:      c.Events,
		limiter:     newLimiter(c, policy.Trusted.ContainsAddr),
		clients:     &clients{policy: policy, log: c.Logger},
		certificate: c.Certificate,
		maxHead:     c.MaxHead,
		drain:       c.Drain,
		log:         c.Logger,
		errorLog:    c.ErrorLog,
	}
}

// Serve serves the connections of l until ctx is done. Then it drains: it
// accepts no more connections, ends every socket, and returns when all
// connections have ended, or after [Config.Drain] at the latest. It returns
// nil if they have all ended, an error that wraps context.DeadlineExceeded if
// not, and the error of l if accepting fails. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := s.HTTPServer()
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig == nil {
			failed <- server.Serve(s.listen(l, server))
			return
		}
		failed <- server.ServeTLS(s.limit(l), "", "")
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.log.Info("stopping", "within", s.drain)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	stopped := make(chan error, 1)
	// It closes l at once, then waits for requests but not for sockets.
	go func() { stopped <- server.Shutdown(ctx) }()
	err := errors.Join(s.shutdown(ctx), <-stopped)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("gateway: connections that had not ended within %s were cut: %w", s.drain, err), server.Close())
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) { // returns after l was closed
		err = errors.Join(err, ended)
	}
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// ServeHTTP implements [http.Handler], for requests that net/http has read.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	of, _ := r.Context().Value(connKey{}).(connValue)
	s.serve(w, s.clients.identify(r, of.header), of.place)
}

type connKey struct{}

// A connValue holds the data of a connection that its requests need.
type connValue struct {
	place  *connlimit.Place
	header *proxyproto.Header // of the PROXY protocol, or nil
}

// withConn stores the connValue of a connection in its context. It is an
// [http.Server.ConnContext].
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, connValue{connlimit.Of(conn), proxyproto.Of(conn)})
}

// These times limit how long a connection may wait for its next request. A
// proxy must time out before the gateway: otherwise it may send a request on a
// connection that is being closed. The proxy may repeat that request only if it
// is safe; if not, its client gets 502. By default, AWS ALB times out after a
// minute, and Google's load balancers after ten. An idle connection is evicted
// if others need its place; see connlimit.
const (
	idleTimeout        = time.Minute
	idleTimeoutProxies = 11 * time.Minute
)

// HTTPServer returns a server of net/http with the limits that the gateway
// relies on.
func (s *Server) HTTPServer() *http.Server {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,  // includes the TLS handshake
		ReadTimeout:       10 * time.Second, // head and body; does not apply to sockets
		WriteTimeout:      30 * time.Second, // does not apply to sockets
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    s.maxHead,
		ErrorLog:          s.errorLog,
		ConnContext:       withConn,
		ConnState:         connlimit.ConnState,
	}
	if !s.clients.policy.Trusted.IsEmpty() {
		server.IdleTimeout = idleTimeoutProxies
	}
	if s.certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}
		// Sockets over HTTP/2 (RFC 8441) are not supported. Browsers open an
		// HTTP/1.1 connection for each socket instead.
		server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
	}
	return server
}
