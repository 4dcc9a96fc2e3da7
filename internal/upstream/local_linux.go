package upstream

import (
	"context"
	"net"
	"net/netip"
	"time"

	"wsauth/internal/sockfd"
)

func dialLocal(ctx context.Context, server netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	conn, err := sockfd.Dial(ctx, server, timeout)
	if err != nil {
		return nil, err
	}
	return conn, nil
}
