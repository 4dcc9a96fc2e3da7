package front

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenConfig returns a configuration that sets the options on the listener,
// not on each connection.
func listenConfig() net.ListenConfig {
	return net.ListenConfig{
		KeepAlive: -1,
		Control:   func(_, _ string, conn syscall.RawConn) error { return setOptions(conn) },
	}
}

// setOptions sets the options on a listener; its connections inherit them
// (tcp(7)). Setting them on each connection would cost four system calls per
// handshake. TCP_USER_TIMEOUT limits how long sent data may remain
// unacknowledged; without it, the kernel retransmits for a quarter of an hour.
func setOptions(conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		for _, o := range [...]struct{ level, name, value int }{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(probes.Idle.Seconds())},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(probes.Interval.Seconds())},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes.Count},
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(DeadPeer.Milliseconds())},
		} {
			failed = errors.Join(failed, unix.SetsockoptInt(int(fd), o.level, o.name, o.value))
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("front: options of a listener: %w", err)
	}
	return nil
}
