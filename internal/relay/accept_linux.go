package relay

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"wsauth/internal/eventloop"
	"wsauth/internal/proxyproto"
)

// pause is for how long no client is accepted when the system has no
// descriptor or memory left for one.
const pause = 100 * time.Millisecond

// An entrance is a listener whose clients a loop accepts.
type entrance struct {
	loop   *loop
	timed  timed
	relay  *Relay
	fd     int32
	local  net.Addr
	accept Accept
	failed bool // the last time
	closed bool
}

// Accept has the loops accept the clients of l, of which only the socket stays
// open until stop is called. It reports false, and does nothing, where no loop
// can do that.
func (r *Relay) Accept(l net.Listener, a Accept) (stop func(), ok bool) {
	tcp, ok := l.(*net.TCPListener)
	if !ok || len(r.loops) == 0 {
		return nil, false
	}
	fd, ok := duplicate(tcp)
	if !ok {
		return nil, false
	}
	e := &entrance{loop: r.loops[0], relay: r, fd: fd, local: l.Addr(), accept: a}
	e.timed = timed{task: e, index: untimed}
	// What is accepted inherits it. A failure would make it slower, no more.
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if !e.loop.order(e.open) {
		_ = unix.Close(int(fd))
		return nil, false
	}
	// This takes the socket from Go's poller, which would be woken for each
	// client.
	_ = l.Close()
	return func() { e.loop.order(e.close) }, true
}

// open begins.
func (e *entrance) open() {
	e.loop.assign(e.fd, e)
	e.watch()
}

func (e *entrance) watch() {
	// While there is somebody to accept, epoll tells so again and again.
	err := unix.EpollCtl(e.loop.poll.epoll, unix.EPOLL_CTL_ADD, int(e.fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: e.fd})
	if err != nil {
		e.wait(err)
	}
}

// event accepts one client. Others, and those who have something to read, have
// their turn before the next.
func (e *entrance) event(int32, uint32) {
	fd, remote, err := accept(e.fd)
	switch {
	case err == nil:
		e.failed = false
		e.take(fd, remote)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EPROTO):
	default:
		_ = unix.EpollCtl(e.loop.poll.epoll, unix.EPOLL_CTL_DEL, int(e.fd), nil)
		e.wait(err)
	}
}

// wait accepts nobody for a while.
func (e *entrance) wait(err error) {
	e.loop.timers.set(&e.timed, e.loop.now+pause)
	if !e.failed {
		e.failed = true
		e.accept.Failed(err)
	}
}

// tick is the end of that.
func (e *entrance) tick() {
	e.loop.timers.remove(&e.timed)
	e.watch()
}

// take has one of the loops wait for what the client says first.
func (e *entrance) take(fd int32, remote net.Addr) {
	proxies := e.accept.Proxies
	if proxies != nil && !proxies.Trusted(remote) {
		proxies.Refused(remote, proxyproto.ErrNotTrusted)
		_ = unix.Close(int(fd))
		return
	}
	place, ok := e.accept.Limiter.Enter(remote)
	if !ok {
		_ = unix.Close(int(fd))
		return
	}
	loop := e.relay.nextLoop()
	conn := eventloop.New(fd, loop.poll.epoll, e.local, remote)
	conn.Hold(place)
	first := func(data []byte, err error) {
		if !place.Busy() || err != nil {
			_ = conn.Close()
			return
		}
		e.accept.First(conn, data, loop.idle())
	}
	var begin *prologue
	if proxies != nil {
		begin = &prologue{conn: conn, within: proxies.Within(), refused: proxies.Refused}
	}
	if !loop.newArrival(fd, e.accept.Patience, nil, place, begin, first) {
		_ = conn.Close()
	}
}

// kill is for the end of the loop.
func (e *entrance) kill(time.Duration) { e.close() }

func (e *entrance) close() {
	if e.closed {
		return
	}
	e.closed = true
	e.loop.timers.remove(&e.timed)
	e.loop.of[e.fd] = nil
	_ = unix.Close(int(e.fd))
}

// accept takes a client from the queue of the listener.
func accept(listener int32) (int32, net.Addr, error) {
	var from unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(from))
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0) //nolint:gosec // both live until the call returns.
	if errno != 0 {
		return -1, nil, errno
	}
	return int32(fd), address(&from), nil //nolint:gosec // a descriptor fits
}

// address is what the kernel has written into a.
func address(a *unix.RawSockaddrAny) net.Addr {
	switch a.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(a)) //nolint:gosec // the family says that it is one
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

// hostOrder reads a port, which is in network order.
func hostOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port)) //nolint:gosec // it has two bytes
	return uint16(b[0])<<8 | uint16(b[1])
}

// zone is the name of the interface that an address belongs to, as the net
// package has it.
func zone(id uint32) string {
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}
