package eventloop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptClients makes g accept the clients of l.
func acceptClients(t *testing.T, g *Group, l net.Listener) (all chan *Conn, stop func()) {
	t.Helper()
	all = make(chan *Conn, 16)
	stop, ok := g.Accept(l, Acceptor{
		Accepted: func(conn *Conn) { all <- conn },
		Failed:   func(err error) { t.Errorf("accept: %v", err) },
	})
	if !ok {
		t.Fatal("no loop accepts")
	}
	return all, stop
}

// TestAccept checks that an accepted connection has the right addresses, and no
// client is accepted after stop.
func TestAccept(t *testing.T) {
	g := newGroup(t, 2)
	l := listen(t)
	clients, stop := acceptClients(t, g, l)
	for range 3 {
		far := connectTo(t, l)
		conn := receive(t, clients)
		if conn.RemoteAddr().String() != far.LocalAddr().String() || conn.LocalAddr().String() != far.RemoteAddr().String() {
			t.Errorf("got a connection from %v at %v, want from %v at %v", conn.RemoteAddr(), conn.LocalAddr(), far.LocalAddr(), far.RemoteAddr())
		}
		if _, err := io.WriteString(far, "hello"); err != nil {
			t.Error(err)
		}
		got := make([]byte, len("hello"))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
			t.Errorf("read %q, %v, want %q", got, err, "hello")
		}
		_ = conn.Close()
		wantCut(t, far, "the client")
	}
	stop()
	stop()
	until(t, "nobody is accepted", func() bool { // the loop closes the listener later
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	for len(clients) > 0 { // those of the attempts
		_ = receive(t, clients).Close()
	}
}

// TestAcceptV6 checks that an accepted connection has the right IPv6 addresses.
func TestAcceptV6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Log("this machine has no IPv6")
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	clients, stop := acceptClients(t, newGroup(t, 1), l)
	defer stop()
	far := connectTo(t, l)
	conn := receive(t, clients)
	defer conn.Close()
	if conn.RemoteAddr().String() != far.LocalAddr().String() {
		t.Errorf("%v, want %v", conn.RemoteAddr(), far.LocalAddr())
	}
}

// TestAddress checks that addresses are written as in the net package.
func TestAddress(t *testing.T) {
	v6 := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: 0x5000} // 80, in network order
	for want, addr := range map[string][16]byte{
		"192.0.2.7:80":    netip.MustParseAddr("::ffff:192.0.2.7").As16(),
		"[2001:db8::]:80": netip.MustParseAddr("2001:db8::").As16(),
	} {
		v6.Addr = addr
		var raw unix.RawSockaddrAny
		*(*unix.RawSockaddrInet6)(unsafe.Pointer(&raw)) = v6
		if got := address(&raw); got.String() != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	v6.Addr, v6.Scope_id = netip.MustParseAddr("fe80::1").As16(), 1
	var raw unix.RawSockaddrAny
	*(*unix.RawSockaddrInet6)(unsafe.Pointer(&raw)) = v6
	if got := address(&raw); got.String() != "[fe80::1%lo]:80" {
		t.Errorf("%v, want one of the interface lo", got)
	}
	(*unix.RawSockaddrInet6)(unsafe.Pointer(&raw)).Scope_id = 987654321
	if got := address(&raw); got.String() != "[fe80::1%987654321]:80" {
		t.Errorf("%v, want one of an interface without a name", got)
	}
	if got := address(new(unix.RawSockaddrAny)); got.String() != ":0" {
		t.Errorf("no family: got %v, want :0", got)
	}
}

// TestNoDescriptors checks that while no descriptor is left, no client is
// accepted, and Failed is called once. Waiting clients are accepted later.
func TestNoDescriptors(t *testing.T) {
	g := newGroup(t, 1)
	l := listen(t)
	clients, failures := make(chan *Conn, 1), make(chan error, 16)
	stop, ok := g.Accept(l, Acceptor{
		Accepted: func(conn *Conn) { clients <- conn },
		Failed:   func(err error) { failures <- err },
	})
	if !ok {
		t.Fatal("no loop accepts")
	}
	defer stop()
	connectTo(t, l)
	_ = receive(t, clients).Close()

	for range 2 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		withDescriptors(t, 0, func() {
			to := netip.MustParseAddrPort(l.Addr().String())
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
				t.Error(err)
			}
			if failed := receive(t, failures); !errors.Is(failed, unix.EMFILE) {
				t.Errorf("got %v, want %v", failed, unix.EMFILE)
			}
			again := make(chan bool)
			g.loops[0].Post(func() { // as after two more pauses
				for _, h := range g.loops[0].handlers {
					if l, ok := h.(*listener); ok {
						for range 2 {
							g.loops[0].StopTimer(&l.timer)
							l.Tick()
							l.Event(0, Readable)
						}
					}
				}
				close(again)
			})
			receive(t, again)
		})
		conn := receive(t, clients)
		if len(failures) > 0 {
			t.Errorf("%d more failures reported, want none", len(failures))
		}
		_ = conn.Close()
	}
}

// TestAcceptWithoutDelay checks that accepted sockets have TCP_NODELAY.
func TestAcceptWithoutDelay(t *testing.T) {
	l := listen(t)
	clients, stop := acceptClients(t, newGroup(t, 1), l)
	defer stop()
	connectTo(t, l)
	conn := receive(t, clients)
	defer conn.Close()
	if on, err := unix.GetsockoptInt(int(conn.fd), unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
		t.Errorf("TCP_NODELAY is %d, %v, want it set", on, err)
	}
}

// TestStopForgetsTheListener checks that the loop keeps no handler for a
// stopped listener.
func TestStopForgetsTheListener(t *testing.T) {
	g := newGroup(t, 1)
	_, stop := acceptClients(t, g, listen(t))
	if n := handlers(t, g.loops[0]); n != 1 {
		t.Fatalf("the loop has %d handlers, want 1", n)
	}
	stop()
	if n := handlers(t, g.loops[0]); n != 0 {
		t.Errorf("the loop has %d handlers, want 0", n)
	}
}

// handlers returns how many sockets a loop has handlers for.
func handlers(t *testing.T, l *Loop) int {
	t.Helper()
	known := make(chan int, 1)
	l.Post(func() {
		n := 0
		for _, h := range l.handlers {
			if h != nil {
				n++
			}
		}
		known <- n
	})
	return receive(t, known)
}

// TestCloseStopsAccepting checks that a closed group keeps no listener.
func TestCloseStopsAccepting(t *testing.T) {
	before := descriptors(t)
	g := newGroup(t, 1)
	l := listen(t)
	_, stop := acceptClients(t, g, l)
	closeNow(t, g)
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("there is somebody to call")
	}
	stop()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, want %d as before", after, before)
	}
}
