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

// Serve answers the connections of l, which it closes, until ctx is done. Then it drains: it takes no more, ends every socket with
// close code 1012, one after the other, and returns when all are gone, after [Config.Drain] at the latest; nil if they were, and
// otherwise an error that is context.DeadlineExceeded.
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
	go func() { stopped <- server.Shutdown(ctx) }() // closes l at once, then waits for requests, not for sockets
	err := errors.Join(g.Shutdown(ctx), <-stopped)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("gateway: what had not ended within %s was cut: %w", g.drain, err), server.Close())
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) { // once it has closed l
		err = errors.Join(err, ended)
	}
	if err == nil {
		g.log.Info("stopped")
	}
	return err
}

// newServer makes the server with the limits that the gateway counts on.
func (g *Gateway) newServer() *http.Server {
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 5 * time.Second,  // the handshake of TLS too
		ReadTimeout:       10 * time.Second, // head and body; a socket is not bound by it
		WriteTimeout:      30 * time.Second, // the same
		IdleTimeout:       g.clients.idle(),
		// A target of 64 KiB must come through to be told that it is too long, see limit.
		MaxHeaderBytes: maxHead + g.tokenRoom,
		ErrorLog:       newServerLog(g.log),
		ConnContext:    withPlace,
		ConnState:      connlimit.ConnState,
	}
	if g.certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.certificate}
		// A socket needs a connection of its own, for which browsers open one of HTTP/1.1: sockets over HTTP/2 (RFC 8441) are not offered.
		server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100}
	}
	return server
}
