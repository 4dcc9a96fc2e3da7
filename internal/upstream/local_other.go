//go:build !linux

package upstream

import (
	"context"
	"net"
	"net/netip"
	"time"
)

func dialLocal(ctx context.Context, server netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, KeepAlive: -1}
	return d.DialContext(ctx, "tcp", server.String())
}
