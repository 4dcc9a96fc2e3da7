package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"wsauth/gateway"
	"wsauth/internal/connlimit"
)

// serveOperations serves metrics and health checks, on listener or, if that is
// nil, at address, unless that is empty. It serves them until stop is called,
// which should be at the very end, so that /readyz reports the shutdown.
func serveOperations(ctx context.Context, address string, listener net.Listener, g *gateway.Gateway, log *slog.Logger) (stop func(), err error) {
	if listener == nil && address == "" {
		return func() {}, nil
	}
	if listener == nil {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
			return nil, fmt.Errorf("--metrics=%s: %w", address, err)
		}
	}
	server := &http.Server{
		Handler:           g.Operations(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		// Longer than collecting metrics takes.
		WriteTimeout:   20 * time.Second,
		IdleTimeout:    60 * time.Second,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(connlimit.Bound(server, listener)) }()
	log.Info("metrics and health", "metrics", "http://"+reachable(listener)+"/metrics")
	return func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics and health", "err", err)
		}
	}, nil
}
