package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const drainTimeout = 10 * time.Second // from the end of ctx until everything is cut

// Serve answers the connections of l, which it closes, until ctx is done. Then it takes no more, ends every socket with close
// code 1012, and returns when all are gone, after ten seconds at the latest; nil if they were.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // head and body; a socket is not bound by it
		WriteTimeout:      30 * time.Second, // the same
		IdleTimeout:       60 * time.Second,
		// A target of 64 KiB must come through to be told that it is too long, see limit.
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	g.log.Info("stopping", "within", drainTimeout)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(ctx) }() // closes l at once, then waits for requests, not for sockets
	err := errors.Join(g.Shutdown(ctx), <-stopped)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	g.log.Info("stopped")
	return nil
}
