package relay

import (
	"net"
	"syscall"

	"wsauth/internal/eventloop"
)

// dropUnread reads and drops what the kernel holds of conn's peer, up to
// dropSize. It waits for nothing, and for no other reader.
func dropUnread(conn net.Conn) {
	switch c := conn.(type) {
	case *eventloop.Conn:
		c.Drop(dropSize)
	case syscall.Conn:
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { eventloop.Drop(int32(fd), dropSize) }) //nolint:gosec // a descriptor fits
		}
	}
}
