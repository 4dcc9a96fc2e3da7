package upstream

import (
	"context"
	"net"
	"net/netip"
	"time"

	"wsauth/internal/eventloop"
)

func dialLocal(ctx context.Context, server netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	conn, err := eventloop.Dial(ctx, server, timeout)
	if err != nil {
		return nil, err // a nil *eventloop.Conn would not be a nil net.Conn
	}
	return conn, nil
}
