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

// serveOperations answers figures and health on the listener or, where that is nil, at the address, if there is one. It does so until stop is
// called: to the end, so that /readyz says that this server ends.
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
		WriteTimeout:      20 * time.Second, // longer than figures take to be collected, at most
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(connlimit.Bound(server, listener)) }()
	log.Info("figures and health", "metrics", "http://"+reachable(listener)+"/metrics")
	return func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			log.Error("figures and health", "err", err)
		}
	}, nil
}
