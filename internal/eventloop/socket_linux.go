package eventloop

import (
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Events are the events of a socket that epoll reports.
type Events uint32

// The events that handlers check for.
const (
	Readable Events = unix.EPOLLIN
	Writable Events = unix.EPOLLOUT

	ended  Events = unix.EPOLLRDHUP | failed // the peer sends nothing more
	failed Events = unix.EPOLLHUP | unix.EPOLLERR
)

// ErrNotReady is returned by a read or write that would block.
var ErrNotReady error = unix.EAGAIN

// A Socket is a stream socket that a loop has taken over. Epoll reports each
// change only once, so a Socket remembers that it is readable or blocked until
// a call shows otherwise. Only its loop may use it.
type Socket struct {
	lease           Lease // released with fd; may be nil
	fd              int32
	stage           stage
	input           input
	blocked         bool // its send buffer is full
	watchesWritable bool // epoll reports when it becomes writable
}

// stage says how far a loop has taken over a socket.
type stage uint8

const (
	taken   stage = iota
	watched       // taken, and epoll watched it before
	added         // has a handler
)

// input says what can be read from a socket.
type input uint8

const (
	noInput   input = iota
	someInput       // bytes
	lastInput       // bytes, and then EOF or an error
)

// NewSocket returns a Socket for a descriptor that it owns from now on.
func NewSocket(fd int32) Socket { return Socket{fd: fd} }

// IsSocket reports whether conn is a plain stream socket without unread bytes,
// so that [Loop.Take] can take it over.
func IsSocket(conn net.Conn) bool {
	if c := connOf(conn); c != nil {
		return c.hasNoUnread()
	}
	switch c := conn.(type) {
	case *net.TCPConn:
		return true
	case *net.UnixConn:
		return c.LocalAddr().Network() == "unix"
	}
	return false
}

// Take takes over the socket of conn, for which [IsSocket] must be true. The
// caller must close conn, which does not close the socket. Take reports false
// if no descriptor is left.
func (l *Loop) Take(conn net.Conn) (s Socket, ok bool) {
	c := connOf(conn)
	if c == nil {
		s.fd, ok = duplicate(conn.(syscall.Conn))
		return s, ok
	}
	fd, by, err := c.detach()
	if err == nil && by != nil && by != l {
		_ = by.poll.unwatch(fd) // fails if that loop has ended
	}
	s = Socket{fd: fd, lease: c.lease}
	if by == l {
		s.stage = watched
	}
	return s, err == nil
}

// GiveBack undoes Take. The caller must not have closed conn.
func (l *Loop) GiveBack(conn net.Conn, s Socket) {
	c := connOf(conn)
	if c == nil {
		_ = unix.Close(int(s.fd)) // a duplicate of conn's descriptor
		return
	}
	if s.stage != watched {
		l = nil
	}
	c.attach(s.fd, l)
}

// duplicate returns another descriptor of a socket.
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

// Watch registers s with epoll. The start function of [Loop.Adopt] may call it.
//
// If s is already registered, epoll may already have reported bytes that
// arrived after the first bytes of s. Add takes over this event from the
// handler of [Group.Await]. But a sleeping loop would not wake up to call Add,
// so Watch makes epoll report the event again.
func (l *Loop) Watch(s *Socket) error {
	op := unix.EPOLL_CTL_ADD
	if s.stage == watched {
		if l.sleepsUntil.Load() == 0 { // the loop is awake
			return nil
		}
		op = unix.EPOLL_CTL_MOD
	}
	return l.poll.watch(s.fd, op, 0)
}

// Unwatch undoes Watch.
func (l *Loop) Unwatch(s *Socket) error { return l.poll.unwatch(s.fd) }

// Add makes h the handler of s, after Watch.
func (l *Loop) Add(s *Socket, h Handler) {
	if before, ok := l.handler(s.fd).(*wait); ok && s.stage == watched {
		s.input = before.socket.input
	}
	s.stage = added
	l.setHandler(s.fd, h)
}

// Close closes s and removes its handler.
func (l *Loop) Close(s *Socket) {
	if s.fd < 0 {
		return
	}
	if s.stage == added {
		l.handlers[s.fd] = nil
	}
	_ = unix.Close(int(s.fd))
	s.fd = -1
	if s.lease != nil {
		s.lease.Release()
	}
}

// Block records that the send buffer of s is full, and makes epoll report when
// s becomes writable.
func (l *Loop) Block(s *Socket) error {
	s.blocked = true
	if s.watchesWritable {
		return nil
	}
	s.watchesWritable = true
	return l.poll.watch(s.fd, unix.EPOLL_CTL_MOD, unix.EPOLLOUT)
}

// FD returns the descriptor, or -1 once s is closed.
func (s *Socket) FD() int32 { return s.fd }

// NoteReadable records the events of s. It reports whether they make s
// readable, which includes EOF and errors.
func (s *Socket) NoteReadable(e Events) bool {
	switch {
	case e&ended != 0:
		s.input = lastInput
	case e&Readable == 0:
		return false
	case s.input == noInput:
		s.input = someInput
	}
	return true
}

// Unblocks reports whether s is blocked and e makes it writable or failed.
func (s *Socket) Unblocks(e Events) bool { return s.blocked && e&(Writable|failed) != 0 }

// Unblock undoes Block.
func (s *Socket) Unblock() { s.blocked = false }

// Blocked reports whether Block was called, and Unblock was not called since.
func (s *Socket) Blocked() bool { return s.blocked }

// CanRead reports whether s may be readable.
func (s *Socket) CanRead() bool { return s.input != noInput }

// Read reads without waiting. It returns [ErrNotReady] if there are no bytes,
// and io.EOF at the end of the stream.
func (s *Socket) Read(p []byte) (int, error) {
	n, err := recv(s.fd, p)
	switch {
	case n == len(p), n > 0 && s.input == lastInput:
		// There may be more. Epoll reports an end only once.
		return n, err
	case n == 0 && err == nil:
		err = io.EOF
	}
	s.input = noInput // until epoll reports more
	return n, err
}

// Write writes without waiting, possibly only a part of p. It returns
// [ErrNotReady] if it can write no byte.
func (s *Socket) Write(p []byte) (int, error) { return send(s.fd, p) }

// CloseWrite sends the end of the stream.
func (s *Socket) CloseWrite() error { return unix.Shutdown(int(s.fd), unix.SHUT_WR) }

// Unsent returns how many written bytes the peer has not acknowledged, or 0 if
// that is unknown.
func (s *Socket) Unsent() int {
	if s.fd < 0 {
		return 0
	}
	n, _ := unix.IoctlGetInt(int(s.fd), unix.SIOCOUTQ)
	return n
}

// Drop discards unread bytes, up to about limit. It does not wait.
func (s *Socket) Drop(limit int) { discard(s.fd, limit) }

// DropUnread discards the bytes from conn's peer that the kernel holds, up to
// about limit. It does not wait, even for another reader.
func DropUnread(conn net.Conn, limit int) {
	if c := connOf(conn); c != nil {
		_ = c.control(func(fd int) { discard(int32(fd), limit) }) //nolint:gosec // a descriptor fits
		return
	}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { discard(int32(fd), limit) }) //nolint:gosec // likewise
		}
	}
}

func discard(fd int32, limit int) {
	var space [8 << 10]byte
	for limit > 0 {
		n, err := recv(fd, space[:])
		if n == 0 || err != nil {
			return
		}
		limit -= n
	}
}

// recv reads from a socket without waiting. It returns 0 at the end of the
// stream, and [ErrNotReady] if there are no bytes.
func recv(fd int32, p []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

// send writes to a socket without waiting. It returns [ErrNotReady] if the send
// buffer is full. It raises no SIGPIPE.
func send(fd int32, p []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// transfer makes a system call that does not block. It uses a raw call, which
// the scheduler does not see: otherwise the scheduler would look for other work
// each time, which costs more than a small message.
func transfer(call uintptr, fd int32, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0) //nolint:gosec // p lives until the call returns.
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, ErrNotReady
		default:
			return 0, errno
		}
	}
}
