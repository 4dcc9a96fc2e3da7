package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Conn is a TCP connection that a loop can watch and take over. All methods
// except Hold are safe for concurrent use. A type that embeds a *Conn must not
// change what is read or written, because a loop uses the *Conn directly.
type Conn struct {
	local, remote net.Addr
	closed        atomic.Bool
	lease         Lease // released with the descriptor; may be nil

	writeMu sync.Mutex // held during a Write, so that two Writes do not mix

	mu        sync.Mutex
	fd        int32        // -1 once closed or taken over
	loop      *Loop        // watches fd; may be nil
	file      *os.File     // owns the descriptor once a Read or Write had to wait
	unread    []byte       // returned by the next reads
	deadlines [2]time.Time // used until file is set
}

// The directions of a connection.
const (
	reading = iota
	writing
)

// newConn returns a Conn that owns a non-blocking socket.
func newConn(fd int32, local, remote net.Addr) *Conn {
	return &Conn{fd: fd, local: local, remote: remote}
}

// connOf returns conn if it is a [Conn] or embeds one, and nil otherwise.
func connOf(conn net.Conn) *Conn {
	if c, ok := conn.(interface{ eventConn() *Conn }); ok {
		return c.eventConn()
	}
	return nil
}

func (c *Conn) eventConn() *Conn { return c }

// Hold sets the lease that is released when the descriptor is closed, by Close
// or by a loop that has taken over the socket. It must be called before any
// other method.
func (c *Conn) Hold(l Lease) { c.lease = l }

// Unread makes the next reads return p first.
func (c *Conn) Unread(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = append(p[:len(p):len(p)], c.unread...)
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	n, file, err := c.tryRead(p)
	if file != nil {
		n, err = file.Read(p)
	}
	return n, c.opError("read", err)
}

// tryRead reads without waiting, or returns the file that can wait.
func (c *Conn) tryRead(p []byte) (int, *os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		if c.unread = c.unread[n:]; len(c.unread) == 0 {
			c.unread = nil
		}
		return n, nil, nil
	}
	if err := c.checkUsable(reading); err != nil || c.file != nil {
		return 0, c.file, err
	}
	n, err := recv(c.fd, p)
	if errors.Is(err, ErrNotReady) {
		return 0, c.usePoller(), nil
	}
	if n == 0 && err == nil && len(p) > 0 {
		return 0, nil, io.EOF
	}
	return n, nil, err
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	n, file, err := c.tryWrite(p)
	if file != nil {
		var rest int
		rest, err = file.Write(p[n:])
		n += rest
	}
	return n, c.opError("write", err)
}

// tryWrite writes without waiting. If bytes are left, it returns the file that
// can wait.
func (c *Conn) tryWrite(p []byte) (int, *os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.checkUsable(writing); err != nil || c.file != nil {
		return 0, c.file, err
	}
	n, err := send(c.fd, p)
	if n < len(p) && (err == nil || errors.Is(err, ErrNotReady)) {
		return n, c.usePoller(), nil
	}
	return n, nil, err
}

// checkUsable returns an error if the connection is closed or the deadline of
// the direction has passed. If c.file is set, checkUsable returns nil, because
// the file reports these errors. c.mu must be held.
func (c *Conn) checkUsable(direction int) error {
	switch at := c.deadlines[direction]; {
	case c.file != nil:
	case c.fd < 0:
		return net.ErrClosed
	case !at.IsZero() && !time.Now().Before(at):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// usePoller registers the socket with the runtime's poller. No loop watches it
// from now on. c.mu must be held.
func (c *Conn) usePoller() *os.File {
	if c.loop != nil {
		_ = c.loop.poll.unwatch(c.fd)
		c.loop = nil
	}
	c.file = os.NewFile(uintptr(c.fd), "socket") //nolint:gosec // a descriptor is not negative
	c.fd = -1
	_ = c.file.SetReadDeadline(c.deadlines[reading])
	_ = c.file.SetWriteDeadline(c.deadlines[writing])
	return c.file
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Swap(true) || c.file == nil && c.fd < 0 {
		return c.opError("close", net.ErrClosed)
	}
	if c.lease != nil {
		defer c.lease.Release()
	}
	if c.file != nil {
		return c.file.Close()
	}
	err := unix.Close(int(c.fd))
	c.fd = -1
	return err
}

// CloseWrite sends the end of the stream.
func (c *Conn) CloseWrite() error {
	var failed error
	err := c.control(func(fd int) { failed = unix.Shutdown(fd, unix.SHUT_WR) })
	return c.opError("shutdown", errors.Join(err, failed))
}

// Shutdown shuts the connection down in both directions. Its reader, which may
// be a loop, gets EOF and must close it.
func (c *Conn) Shutdown() {
	_ = c.control(func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) })
}

// SetLinger works as in [net.TCPConn]: after SetLinger(0), Close resets the
// connection.
func (c *Conn) SetLinger(seconds int) error {
	var failed error
	linger := unix.Linger{Onoff: 1, Linger: int32(seconds)} //nolint:gosec // callers pass 0
	if seconds < 0 {
		linger = unix.Linger{}
	}
	err := c.control(func(fd int) { failed = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger) })
	return c.opError("set", errors.Join(err, failed))
}

// Unsent returns how many written bytes the peer has not acknowledged, or 0 if
// the connection is closed.
func (c *Conn) Unsent() (n int) {
	_ = c.control(func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
	return n
}

// hasNoUnread reports whether no bytes of Unread are left.
func (c *Conn) hasNoUnread() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unread) == 0
}

// watch records that l watches the connection, and returns the descriptor. It
// reports false if a loop or the runtime's poller already watches it, or if the
// connection is closed or has unread bytes.
func (c *Conn) watch(l *Loop) (fd int32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.loop != nil || len(c.unread) > 0 {
		return -1, false
	}
	c.loop = l
	return c.fd, true
}

// watcher returns the loop that watches the connection, or nil.
func (c *Conn) watcher() *Loop {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loop
}

// detach closes the connection but not its descriptor, which the caller then
// owns. It also returns the loop that watches the descriptor, or nil. After an
// error, for example if no descriptor is left, the connection stays open.
func (c *Conn) detach() (fd int32, by *Loop, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		var copied int
		var failed error
		err = control(c.file, func(fd int) { copied, failed = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }) //nolint:gosec // a descriptor is not negative
		if err = errors.Join(err, failed); err != nil {
			return -1, nil, c.opError("detach", err)
		}
		c.closed.Store(true)
		_ = c.file.Close()
		return int32(copied), nil, nil //nolint:gosec // a descriptor fits
	}
	if c.fd < 0 {
		return -1, nil, c.opError("detach", net.ErrClosed)
	}
	fd, c.fd = c.fd, -1
	return fd, c.loop, nil
}

// attach undoes detach, except that it clears the deadlines. The loop by, which
// may be nil, watches fd.
func (c *Conn) attach(fd int32, by *Loop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fd, c.loop, c.file = fd, by, nil
	c.deadlines = [2]time.Time{}
	c.closed.Store(false)
}

// control calls f with the descriptor.
func (c *Conn) control(f func(fd int)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		return control(c.file, f)
	}
	if c.fd < 0 {
		return net.ErrClosed
	}
	f(int(c.fd))
	return nil
}

func control(file *os.File, f func(fd int)) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) }) //nolint:gosec // a descriptor fits
}

// LocalAddr implements [net.Conn]. It returns the listener's address for an
// accepted connection, and an empty address for a dialed one.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(reading, t) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(writing, t) }

func (c *Conn) setDeadline(direction int, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.file == nil && c.fd < 0:
		return c.opError("set", net.ErrClosed)
	case c.file == nil:
		c.deadlines[direction] = t
		return nil
	case direction == reading:
		return c.opError("set", c.file.SetReadDeadline(t))
	}
	return c.opError("set", c.file.SetWriteDeadline(t))
}

// opError wraps err in a net.OpError, as the net package does; net/http looks
// for it. It leaves io.EOF unwrapped. After Close the error is net.ErrClosed.
func (c *Conn) opError(op string, err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case c.closed.Load():
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Addr: c.remote, Err: err}
}
