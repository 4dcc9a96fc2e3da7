package relay

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// carry takes over t, if both of its connections are plain sockets.
func (l *loop) carry(t *Tunnel) bool {
	from, to := t.pair.Client, t.pair.Upstream
	if !plain(from) || !plain(to) {
		return false
	}
	d := &looped{loop: l, tunnel: t, core: &t.core, index: untimed}
	var ok bool
	if d.lanes[client].fd, ok = duplicate(from); !ok {
		return false
	}
	if d.lanes[upstream].fd, ok = duplicate(to); !ok {
		_ = unix.Close(int(d.lanes[client].fd))
		return false
	}
	// The duplicates stay open. This takes the sockets from Go's poller, which
	// would be woken for each byte.
	_ = from.Close()
	_ = to.Close()
	t.pair.Client, t.pair.Upstream = nil, nil
	t.driver = d
	if !l.adopt(d) {
		d.kill(time.Since(l.born))
	}
	return true
}

// plain reports whether conn is a stream socket, and nothing around it. One that
// is not of the net package says so by a method PlainSocket.
func plain(conn net.Conn) bool {
	switch c := conn.(type) {
	case *net.TCPConn:
		return true
	case *net.UnixConn:
		return c.LocalAddr().Network() == "unix"
	case interface{ PlainSocket() }:
		return true
	}
	return false
}

// duplicate is another descriptor of conn's socket.
func duplicate(conn net.Conn) (fd int32, ok bool) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, false
	}
	var dup int
	var dupErr error
	err = raw.Control(func(fd uintptr) {
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	return int32(dup), err == nil && dupErr == nil
}
