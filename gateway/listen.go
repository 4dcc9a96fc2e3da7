package gateway

import (
	"context"
	"fmt"
	"net"
	"time"
)

// deadPeer is how long the kernel takes at most to find out that the other end of a connection is gone without a word.
const deadPeer = 55 * time.Second

// probes find out whether the other end of an idle connection is there.
var probes = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 4}

// Listen opens a TCP address for [Gateway.Serve]. A client that vanishes, as by a pulled cable, is noticed within 55 seconds:
// by keep-alive probes on an idle connection, and on Linux also while data is under way, where probes are not sent.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	config := listenConfig()
	config.SetMultipathTCP(false) // no browser speaks it, and each packet would pay for it
	return config.Listen(ctx, "tcp", addr)
}

// Adopt sets on a listener that somebody else has opened, such as a service manager, what [Listen] sets on its own. What is no TCP has
// nothing to set.
func Adopt(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("gateway: adopt: %w", err)
	}
	return setOptions(conn)
}
