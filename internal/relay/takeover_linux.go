package relay

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wsauth/internal/eventloop"
)

// carry has a loop take over t, if there is one, and both of its connections
// are plain sockets.
func (r *Relay) carry(t *Tunnel) bool {
	from, to := t.pair.Client, t.pair.Upstream
	if len(r.loops) == 0 || !plain(from) || !plain(to) {
		return false
	}
	l := r.loopFor(from, to)
	d := &looped{loop: l, tunnel: t, core: &t.core}
	d.timed = timed{task: d, index: untimed}
	if !d.lanes[client].take(from, l.poll.epoll) {
		return false
	}
	if !d.lanes[upstream].take(to, l.poll.epoll) {
		t.pair.Client = d.lanes[client].giveBack(from, l.poll.epoll)
		return false
	}
	// Their sockets are open yet. This takes them from Go's poller, which would
	// be woken for each byte.
	_ = from.Close()
	_ = to.Close()
	t.pair.Client, t.pair.Upstream = nil, nil
	t.driver = d
	if !l.adopt(d.start, d.add) {
		d.kill(time.Since(l.born))
	}
	return true
}

// plain reports whether conn is a stream socket, and nothing around it.
func plain(conn net.Conn) bool {
	switch c := conn.(type) {
	case *net.TCPConn:
		return true
	case *net.UnixConn:
		return c.LocalAddr().Network() == "unix"
	case *eventloop.Conn:
		return c.Bare()
	}
	return false
}

// take has the lane read from conn's socket, which epoll may know already.
func (lane *loopedLane) take(conn net.Conn, epoll int) (ok bool) {
	if c, is := conn.(*eventloop.Conn); is {
		fd, watching, err := c.Detach()
		if err == nil && watching != 0 && watching != epoll {
			// It fails where that loop has come to its end, and watches nothing any more.
			_ = unix.EpollCtl(watching, unix.EPOLL_CTL_DEL, int(fd), nil)
			watching = 0
		}
		lane.fd, lane.watched, lane.place = fd, watching != 0, c.Place()
		return err == nil
	}
	lane.fd, ok = duplicate(conn.(syscall.Conn))
	return ok
}

// giveBack undoes take. The connection that it returns has the descriptor that
// conn has given away.
func (lane *loopedLane) giveBack(conn net.Conn, epoll int) net.Conn {
	if _, is := conn.(*eventloop.Conn); !is {
		_ = unix.Close(int(lane.fd))
		return conn
	}
	if !lane.watched {
		epoll = 0
	}
	again := eventloop.New(lane.fd, epoll, conn.LocalAddr(), conn.RemoteAddr())
	again.Hold(lane.place)
	return again
}

// duplicate is another descriptor of a socket.
func duplicate(conn syscall.Conn) (fd int32, ok bool) {
	raw, err := conn.SyscallConn()
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
