package eventloop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Dial opens a TCP connection to a server on this machine or nearby. Such a
// connection is usually established at once. A net.Dialer would still start
// goroutines and timers to wait for it, and ask the kernel for both addresses.
// This would make up most of the cost. If timeout is 0, Dial does not wait: it
// fails with os.ErrDeadlineExceeded unless the connection is established at
// once.
func Dial(ctx context.Context, server netip.AddrPort, timeout time.Duration) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	family, to := socketAddress(server)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil {
		err = connect(fd, to)
	}
	if errors.Is(err, errConnecting) {
		err = connect(fd, to) // established by now, unless the server is slow
	}
	c := newConn(int32(fd), &net.TCPAddr{}, net.TCPAddrFromAddrPort(server)) //nolint:gosec // a descriptor fits
	switch {
	case !errors.Is(err, errConnecting):
	case timeout == 0:
		err = os.ErrDeadlineExceeded
	default:
		err = c.connected(ctx, to, timeout)
	}
	if err != nil {
		_ = c.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return c, nil
}

func socketAddress(a netip.AddrPort) (family int, to unix.Sockaddr) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

var errConnecting = errors.New("the connection is not established")

// connect starts to connect. It returns errConnecting until the connection is
// established or has failed; call it again for the result.
func connect(fd int, to unix.Sockaddr) error {
	switch err := unix.Connect(fd, to); {
	case errors.Is(err, unix.EISCONN):
		return nil
	case errors.Is(err, unix.EINPROGRESS), errors.Is(err, unix.EALREADY), errors.Is(err, unix.EINTR):
		return errConnecting
	default:
		return err
	}
}

// connected waits until the server has accepted the connection.
func (c *Conn) connected(ctx context.Context, to unix.Sockaddr, timeout time.Duration) error {
	c.mu.Lock()
	raw, err := c.usePoller().SyscallConn()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	_ = c.SetWriteDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		failed = connect(int(fd), to) //nolint:gosec // a descriptor fits
		return !errors.Is(failed, errConnecting)
	})
	if !stop() {
		return ctx.Err()
	}
	_ = c.SetWriteDeadline(time.Time{})
	return errors.Join(err, failed)
}
