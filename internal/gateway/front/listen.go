package front

import (
	"context"
	"fmt"
	"net"
	"time"
)

// DeadPeer is the longest time until the kernel notices that a peer has
// vanished without closing the connection.
const DeadPeer = 55 * time.Second

// probes configures keep-alive probes, which detect that the peer of an idle
// connection has vanished.
var probes = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 4}

// Listen opens a TCP address for [Server.Serve]. A client that vanishes, for
// example because its cable is pulled, is noticed within 55 seconds. Keep-alive
// probes detect it on an idle connection. No probes are sent while sent data is
// not acknowledged, so on Linux TCP_USER_TIMEOUT limits that time.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	config := listenConfig()
	// Browsers do not support Multipath TCP, and it would make each packet
	// more expensive.
	config.SetMultipathTCP(false)
	return config.Listen(ctx, "tcp", addr)
}

// Adopt sets the options of [Listen] on a listener that was opened elsewhere,
// for example by a service manager. It does nothing to a listener that is not
// TCP.
func Adopt(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	conn, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("front: adopt: %w", err)
	}
	return setOptions(conn)
}
