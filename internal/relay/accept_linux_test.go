package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
)

// TestAccept: what comes first is told, with whose it is; who says nothing for too long, or leaves, is hung up on; and after stop nobody
// comes in.
func TestAccept(t *testing.T) {
	r := newRelay(t, 2)
	l := listen(t)
	clients, stop := accepts(t, r, l, 100*time.Millisecond)
	for range 4 { // on both loops
		far := connect(t, l)
		_, _ = io.WriteString(far, "first")
		came := receive(t, clients)
		if came.data != "first" || came.conn.RemoteAddr().String() != far.LocalAddr().String() || came.conn.LocalAddr().String() != far.RemoteAddr().String() {
			t.Errorf("%q from %v at %v", came.data, came.conn.RemoteAddr(), came.conn.LocalAddr())
		}
		came.conn.Unread([]byte("first"))
		_, _ = io.WriteString(far, " and second")
		got := make([]byte, len("first and second"))
		if _, err := io.ReadFull(came.conn, got); err != nil || string(got) != "first and second" {
			t.Errorf("read %q, %v", got, err)
		}
		_ = came.conn.Close()
		peer{far, t, "the client"}.isCut()
	}
	peer{connect(t, l), t, "who says nothing"}.isCut()
	far := connect(t, l)
	_ = far.(*net.TCPConn).CloseWrite()
	peer{far, t, "who leaves"}.isCut()

	stop()
	stop()
	until(t, "nobody is accepted", func() bool { // the loop closes the listener later
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if len(clients) > 0 {
		t.Errorf("%q came", receive(t, clients).data)
	}
}

// TestAcceptLimited: a client takes a place until its tunnel is over. One for
// whom there is none is hung up on.
func TestAcceptLimited(t *testing.T) {
	r := newRelay(t, 1)
	l := listen(t)
	limiter := connlimit.New(connlimit.Limits{Connections: 1, PerAddress: 1}, nil)
	clients, stop := acceptsWithin(t, r, l, time.Minute, limiter)
	defer stop()
	for range 2 {
		c := peer{connect(t, l), t, "the client"}
		c.send([]byte("hello"))
		came := receive(t, clients)
		near, far := tcp(t)
		closed := make(chan Result, 1)
		r.Carry(Pair{Client: came.conn, Upstream: near, Closed: func(r Result) { closed <- r }})
		u := peer{far, t, "the upstream"}
		c.send(fromClient(0x82, 5))
		u.gets(fromClient(0x82, 5))
		if open, _ := limiter.Usage(); open != 1 {
			t.Errorf("%d places are taken by a tunnel", open)
		}
		other := peer{connect(t, l), t, "one too many"}
		other.isCut()
		other.hangUp()
		c.hangUp()
		u.hangUp()
		receive(t, closed)
		if open, _ := limiter.Usage(); open != 0 {
			t.Errorf("%d places are taken after the tunnel", open)
		}
	}
}

// TestAcceptV6: addresses of the other family are read, too.
func TestAcceptV6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Log("this machine has no IPv6")
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t, 1)
	clients, stop := accepts(t, r, l, time.Minute)
	defer stop()
	far := connect(t, l)
	_, _ = io.WriteString(far, "x")
	came := receive(t, clients)
	defer came.conn.Close()
	if came.conn.RemoteAddr().String() != far.LocalAddr().String() {
		t.Errorf("%v, want %v", came.conn.RemoteAddr(), far.LocalAddr())
	}
}

// TestAddress: as the net package writes them.
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
		t.Errorf("%v of no family", got)
	}
}

// TestNoDescriptors: while the system has none left nobody is accepted, which
// is told once each time, and who came meanwhile is accepted later.
func TestNoDescriptors(t *testing.T) {
	r := newRelay(t, 1)
	l := listen(t)
	clients, failures := make(chan accepted, 1), make(chan error, 16)
	stop, ok := r.Accept(l, Accept{
		Patience: time.Minute,
		First:    func(conn Client, data []byte, _ bool) { clients <- accepted{conn, string(data)} },
		Failed:   func(err error) { failures <- err },
	})
	if !ok {
		t.Fatal("no loop accepts")
	}
	defer stop()
	far := connect(t, l) // it waits for no loop
	first, _ := io.WriteString(far, "x")
	came := receive(t, clients)
	_ = came.conn.Close()

	if first != 1 {
		t.Fatal("the client could not write")
	}
	for range 2 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		withDescriptors(t, 0, func() {
			to := netip.MustParseAddrPort(l.Addr().String())
			if err := errors.Join(unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}), sendAll(fd, "late")); err != nil {
				t.Error(err)
			}
			if failed := receive(t, failures); !errors.Is(failed, unix.EMFILE) {
				t.Errorf("told of %v", failed)
			}
			again := make(chan bool)
			r.loops[0].order(func() { // as after a pause, and another
				for _, task := range r.loops[0].of {
					if e, ok := task.(*entrance); ok {
						e.tick()
						e.event(0, 0)
						e.tick()
						e.event(0, 0)
					}
				}
				close(again)
			})
			receive(t, again)
		})
		came = receive(t, clients)
		if came.data != "late" || len(failures) > 0 {
			t.Errorf("%q came, and %d failures more were told", came.data, len(failures))
		}
		_ = came.conn.Close()
	}
}

func sendAll(fd int, text string) error {
	_, err := unix.Write(fd, []byte(text))
	return err
}

// TestAcceptWithoutDelay: what is written to a client goes out at once.
func TestAcceptWithoutDelay(t *testing.T) {
	r := newRelay(t, 1)
	l := listen(t)
	clients, stop := accepts(t, r, l, time.Minute)
	defer stop()
	peer{connect(t, l), t, "the client"}.send([]byte("x"))
	fd, _, err := receive(t, clients).conn.(*eventloop.Conn).Detach()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(int(fd))
	if on, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}

// TestStopForgetsTheListener: the loop keeps nothing of one that is stopped.
func TestStopForgetsTheListener(t *testing.T) {
	r := newRelay(t, 1)
	_, stop := accepts(t, r, listen(t), time.Minute)
	known := make(chan int, 1)
	count := func() {
		n := 0
		for _, task := range r.loops[0].of {
			if task != nil {
				n++
			}
		}
		known <- n
	}
	r.loops[0].order(count)
	if n := receive(t, known); n != 1 {
		t.Fatalf("the loop knows %d sockets", n)
	}
	stop()
	r.loops[0].order(count)
	if n := receive(t, known); n != 0 {
		t.Errorf("the loop knows %d sockets", n)
	}
}

// TestCloseStopsAccepting: a relay that is closed keeps no listener.
func TestCloseStopsAccepting(t *testing.T) {
	before := descriptors(t)
	r := newRelay(t, 1)
	l := listen(t)
	_, stop := accepts(t, r, l, time.Minute)
	closeNow(t, r)
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("there is somebody to call")
	}
	stop()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}
