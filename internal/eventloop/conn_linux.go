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

	"wsauth/internal/connlimit"
	"wsauth/internal/proxyproto"
)

// A Conn is a TCP connection. Beside what a net.Conn does, its descriptor can be had. All methods are safe for concurrent use.
type Conn struct {
	local, remote net.Addr
	closed        atomic.Bool
	place         *connlimit.Place   // of a client; released with the descriptor
	header        *proxyproto.Header // of a proxy that has said whose connection it is; may be nil

	wmu sync.Mutex // held while somebody writes, so that two writes do not mix

	mu        sync.Mutex
	fd        int32        // -1 once it is closed, or somebody else's
	epoll     int          // of the loop that watches it; 0: none
	file      *os.File     // has the descriptor once somebody has waited
	unread    []byte       // read already, and to be read again
	deadlines [2]time.Time // until file has them
}

// The ways of a connection.
const (
	reading = iota
	writing
)

// New makes a connection of a socket that does not block. It owns fd from now on. Where epoll is not 0, it is that of an event loop
// which watches the socket; it is told to stop as soon as somebody else waits for it.
func New(fd int32, epoll int, local, remote net.Addr) *Conn {
	return &Conn{fd: fd, epoll: epoll, local: local, remote: remote}
}

// Hold has the connection hold a place until it is closed. It is called before
// anything else.
func (c *Conn) Hold(p *connlimit.Place) { c.place = p }

// Place returns the place of the connection; nil if it has none. After Detach
// it is to be released with the descriptor.
func (c *Conn) Place() *connlimit.Place { return c.place }

// Introduce has the connection be that of another client, because a proxy has
// said so. It is called before anything but Hold, and reports false if that
// client may have no more connections.
func (c *Conn) Introduce(h *proxyproto.Header) bool {
	c.header, c.remote = h, h.Client()
	return c.place.Move(h.Source)
}

// Header returns what Introduce was called with; nil without a call.
func (c *Conn) Header() *proxyproto.Header { return c.header }

// Unread has the next reads return p first.
func (c *Conn) Unread(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = append(p[:len(p):len(p)], c.unread...)
}

// Read reads what has come, and waits for something.
func (c *Conn) Read(p []byte) (int, error) {
	n, file, err := c.readNow(p)
	if file != nil {
		n, err = file.Read(p)
	}
	return n, c.opError("read", err)
}

// readNow reads what is there, or returns the file that can wait for it.
func (c *Conn) readNow(p []byte) (int, *os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		if c.unread = c.unread[n:]; len(c.unread) == 0 {
			c.unread = nil
		}
		return n, nil, nil
	}
	if err := c.ready(reading); err != nil || c.file != nil {
		return 0, c.file, err
	}
	n, err := Recv(c.fd, p)
	if errors.Is(err, unix.EAGAIN) {
		return 0, c.wait(), nil
	}
	if n == 0 && err == nil && len(p) > 0 {
		return 0, nil, io.EOF
	}
	return n, nil, err
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	n, file, err := c.writeNow(p)
	if file != nil {
		var rest int
		rest, err = file.Write(p[n:])
		n += rest
	}
	return n, c.opError("write", err)
}

// writeNow writes what is taken at once, and returns the file that can wait for the rest.
func (c *Conn) writeNow(p []byte) (int, *os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ready(writing); err != nil || c.file != nil {
		return 0, c.file, err
	}
	n, err := Send(c.fd, p)
	if n < len(p) && (err == nil || errors.Is(err, unix.EAGAIN)) {
		return n, c.wait(), nil
	}
	return n, nil, err
}

// ready says why the socket cannot be used that way. The caller holds mu.
func (c *Conn) ready(way int) error {
	switch at := c.deadlines[way]; {
	case c.file != nil: // which has the deadlines
	case c.fd < 0:
		return net.ErrClosed
	case !at.IsZero() && !time.Now().Before(at):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait makes the socket known to the runtime's poller. The caller holds mu.
func (c *Conn) wait() *os.File {
	if c.epoll != 0 {
		_ = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, int(c.fd), nil)
		c.epoll = 0
	}
	c.file = os.NewFile(uintptr(c.fd), "socket") //nolint:gosec // a descriptor is not negative
	c.fd = -1
	_ = c.file.SetReadDeadline(c.deadlines[reading])
	_ = c.file.SetWriteDeadline(c.deadlines[writing])
	return c.file
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Swap(true) || c.file == nil && c.fd < 0 {
		return c.opError("close", net.ErrClosed)
	}
	defer c.place.Release()
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

// SetLinger is that of [net.TCPConn]: with 0, Close resets the connection.
func (c *Conn) SetLinger(seconds int) error {
	var failed error
	linger := unix.Linger{Onoff: 1, Linger: int32(seconds)} //nolint:gosec // 0 is what it is called with
	if seconds < 0 {
		linger = unix.Linger{}
	}
	err := c.control(func(fd int) { failed = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger) })
	return c.opError("set", errors.Join(err, failed))
}

// Unsent returns how many bytes were written that the peer has not
// acknowledged; 0 where the connection is closed.
func (c *Conn) Unsent() (n int) {
	_ = c.control(func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
	return n
}

// Drop reads and drops what has come, up to about most bytes. It does not
// wait.
func (c *Conn) Drop(most int) {
	_ = c.control(func(fd int) { Drop(int32(fd), most) }) //nolint:gosec // a descriptor fits
}

// Bare reports whether there is nothing but a socket: nothing that was read already, and is to be read again.
func (c *Conn) Bare() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.unread) == 0
}

// Watch notes that an event loop begins to watch the connection, and returns the descriptor for it. ok is false where somebody else waits
// for it, or has it.
func (c *Conn) Watch(epoll int) (fd int32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.epoll != 0 || len(c.unread) > 0 {
		return -1, false
	}
	c.epoll = epoll
	return c.fd, true
}

// Detach closes the connection, but returns its descriptor, which the caller
// owns from now on, and the epoll of the event loop that watches it; 0: none.
// After an error, for instance for want of a descriptor, the connection stays
// open.
func (c *Conn) Detach() (fd int32, epoll int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		var copied int
		var failed error
		err = control(c.file, func(fd int) { copied, failed = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }) //nolint:gosec // a descriptor is not negative
		if err = errors.Join(err, failed); err != nil {
			return -1, 0, c.opError("detach", err)
		}
		c.closed.Store(true)
		_ = c.file.Close()
		return int32(copied), 0, nil //nolint:gosec // a descriptor fits
	}
	if c.fd < 0 {
		return -1, 0, c.opError("detach", net.ErrClosed)
	}
	fd, c.fd = c.fd, -1
	return fd, c.epoll, nil
}

// Epoll is that of the event loop which watches the connection; 0: none.
func (c *Conn) Epoll() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoll
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

// LocalAddr is the server's address, or that of a listener which the client has reached.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline has reads fail from t on; zero: never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(reading, t) }

// SetWriteDeadline has writes fail from t on; zero: never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(writing, t) }

func (c *Conn) setDeadline(way int, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.file == nil && c.fd < 0:
		return c.opError("set", net.ErrClosed)
	case c.file == nil:
		c.deadlines[way] = t
		return nil
	case way == reading:
		return c.opError("set", c.file.SetReadDeadline(t))
	}
	return c.opError("set", c.file.SetWriteDeadline(t))
}
