package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"wsauth/internal/connlimit"
)

// Serve serves the connections of l until ctx is done. Then it drains: it
// accepts no more connections, ends every socket with close code 1012, one
// after the other, and returns when all connections have ended, or after
// [Config.Drain] at the latest. It returns nil if they have all ended, an
// error that wraps context.DeadlineExceeded if not, and the error of l if
// accepting fails. It closes l.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	server := g.newServer()
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig == nil {
			failed <- server.Serve(g.enter(l, server))
			return
		}
		failed <- server.ServeTLS(g.listen(l), "", "")
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	g.log.Info("stopping", "within", g.drain)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.drain)
	defer cancel()
	stopped := make(chan error, 1)
	// It closes l at once, then waits for requests but not for sockets.
	go func() { stopped <- server.Shutdown(ctx) }()
	err := errors.Join(g.Shutdown(ctx), <-stopped)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("gateway: what had not ended within %s was cut: %w", g.drain, err), server.Close())
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) { // returns after l was closed
		err = errors.Join(err, ended)
	}
	if err == nil {
		g.log.Info("stopped")
	}
	return err
}

// newServer returns an HTTP server with the limits that the gateway relies on.
func (g *Gateway) newServer() *http.Server {
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 5 * time.Second,  // includes the TLS handshake
		ReadTimeout:       10 * time.Second, // head and body; does not apply to sockets
		WriteTimeout:      30 * time.Second, // does not apply to sockets
		IdleTimeout:       g.clients.idle(),
		// The server must accept a target of up to 64 KiB, so that limit can
		// say that it is too long.
		MaxHeaderBytes: maxHead + g.tokenRoom,
		ErrorLog:       newServerLog(g.log),
		ConnContext:    withPlace,
		ConnState:      connlimit.ConnState,
	}
	if g.certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.certificate}
		// Sockets over HTTP/2 (RFC 8441) are not supported. Browsers open an
		// HTTP/1.1 connection for each socket instead.
		server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
	}
	return server
}
