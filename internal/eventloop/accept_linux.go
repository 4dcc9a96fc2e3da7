package eventloop

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptPause is how long a listener pauses after the system had no descriptor
// or memory left for a client.
const acceptPause = 100 * time.Millisecond

// A listener is the handler of a listening socket.
type listener struct {
	Acceptor
	loop      *Loop
	timer     Timer // ends the pause
	fd        int32
	local     net.Addr
	hasFailed bool // the last accept failed
	closed    bool
}

// Accept makes a loop accept the clients of l until stop is called. It closes l
// but keeps its socket open. Accept reports false, and does nothing, if no loop
// can accept for l.
func (g *Group) Accept(l net.Listener, a Acceptor) (stop func(), ok bool) {
	tcp, ok := l.(*net.TCPListener)
	if !ok || len(g.loops) == 0 {
		return nil, false
	}
	fd, ok := duplicate(tcp)
	if !ok {
		return nil, false
	}
	h := &listener{Acceptor: a, loop: g.loops[0], fd: fd, local: l.Addr()}
	h.timer.Handler = h
	// Accepted sockets inherit TCP_NODELAY. If it cannot be set, they are only
	// slower.
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if !h.loop.Post(h.open) {
		_ = unix.Close(int(fd))
		return nil, false
	}
	// Closing l removes the socket from the runtime's poller, which would
	// otherwise wake up for every client.
	_ = l.Close()
	return func() { h.loop.Post(h.close) }, true
}

// open starts to accept.
func (l *listener) open() {
	l.loop.setHandler(l.fd, l)
	l.watch()
}

// watch registers the listening socket with epoll, level-triggered: epoll
// reports it while clients wait.
func (l *listener) watch() {
	err := unix.EpollCtl(l.loop.poll.epoll, unix.EPOLL_CTL_ADD, int(l.fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: l.fd})
	if err != nil {
		l.pause(err)
	}
}

// Event implements [Handler]. It accepts only one client, so that other sockets
// have their turn before the next.
func (l *listener) Event(int32, Events) {
	fd, remote, err := accept(l.fd)
	switch {
	case err == nil:
		l.hasFailed = false
		l.Accepted(newConn(fd, l.local, remote))
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EPROTO):
	default:
		_ = l.loop.poll.unwatch(l.fd)
		l.pause(err)
	}
}

// pause stops accepting for a while.
func (l *listener) pause(err error) {
	l.loop.SetTimer(&l.timer, l.loop.now+acceptPause)
	if !l.hasFailed {
		l.hasFailed = true
		l.Failed(err)
	}
}

// Tick implements [Handler]. It ends a pause.
func (l *listener) Tick() { l.watch() }

// Stop implements [Handler].
func (l *listener) Stop() { l.close() }

// close stops accepting permanently.
func (l *listener) close() {
	if l.closed {
		return
	}
	l.closed = true
	l.loop.StopTimer(&l.timer)
	l.loop.handlers[l.fd] = nil
	_ = unix.Close(int(l.fd))
}

// accept accepts a client from a listening socket.
func accept(listener int32) (int32, net.Addr, error) {
	var from unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(from))
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0) //nolint:gosec // both live until the call returns.
	if errno != 0 {
		return -1, nil, errno
	}
	return int32(fd), address(&from), nil //nolint:gosec // a descriptor fits
}

// address returns the address that the kernel has written into a.
func address(a *unix.RawSockaddrAny) net.Addr {
	switch a.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(a)) //nolint:gosec // the family identifies the type
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port)))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(a)) //nolint:gosec // likewise
		ip := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 {
			ip = ip.WithZone(zone(in.Scope_id))
		}
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, hostOrder(in.Port)))
	}
	return &net.TCPAddr{}
}

// hostOrder converts a port from network order.
func hostOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port)) //nolint:gosec // a uint16 has two bytes
	return uint16(b[0])<<8 | uint16(b[1])
}

// zone returns the name of a network interface, as the net package writes it in
// addresses.
func zone(id uint32) string {
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}
