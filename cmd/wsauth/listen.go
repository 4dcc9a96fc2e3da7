package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"wsauth/internal/gateway/front"
)

// listen listens on addr. Its errors tell what to do.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := front.Listen(ctx, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program already listens on %s: stop it, or choose another port with --addr=HOST:PORT (port 0 chooses a free one)", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user is not allowed to listen on %s: choose a port above 1023 with --addr=HOST:PORT", addr)
	case err != nil:
		return nil, fmt.Errorf("--addr=%s: %w", addr, err)
	}
	return l, nil
}

// onLoopback reports whether only this machine can reach l.
func onLoopback(l net.Listener) bool {
	addr, ok := l.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// reachable returns the address of l for a browser on this machine, which is
// "localhost" if l listens on all addresses.
func reachable(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsUnspecified() {
		return l.Addr().String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
}
