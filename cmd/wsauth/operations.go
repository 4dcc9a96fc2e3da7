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
)

// serveOperations answers at address, if there is one, until stop is called: to the end, so that /readyz says that this server ends.
func serveOperations(ctx context.Context, address string, g *gateway.Gateway, log *slog.Logger) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--metrics=%s: %w", address, err)
	}
	server := &http.Server{
		Handler:           g.Operations(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second, // longer than figures take to be collected, at most
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("figures and health", "metrics", "http://"+reachable(listener)+"/metrics")
	return func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			log.Error("figures and health", "err", err)
		}
	}, nil
}
