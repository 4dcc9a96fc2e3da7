package front

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestH11_AcceptedConnectionsNoticeADeadPeer checks the options of accepted
// connections: the kernel detects dead peers.
func TestH11_AcceptedConnectionsNoticeADeadPeer(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	option := acceptedBy(t, l)
	idle, interval, count := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	if after := idle + interval*count; after > 60 {
		t.Errorf("an idle peer that is dead is noticed after %d s, want at most 60", after)
	}
}

// TestH11_Adopt checks a listener that another program has opened. The net
// package sets its own probes there; TCP_USER_TIMEOUT takes precedence over
// their number (tcp(7)).
func TestH11_Adopt(t *testing.T) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // as systemd does
	l, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Adopt(l); err != nil {
		t.Fatal(err)
	}
	acceptedBy(t, l)
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := Adopt(socket); err != nil {
		t.Errorf("a Unix socket: %v", err)
	}
}

// acceptedBy returns a function that reads the options of a connection that l
// has accepted. It checks the options that all connections must have.
func acceptedBy(t *testing.T, l net.Listener) (option func(level, name int) int) {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option = func(level, name int) (value int) {
		t.Helper()
		var failed error
		if err := raw.Control(func(fd uintptr) { value, failed = unix.GetsockoptInt(int(fd), level, name) }); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		return value
	}
	if option(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		t.Error("keep-alive is off")
	}
	if got := option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got < 1 || got > 60_000 {
		t.Errorf("TCP_USER_TIMEOUT is %d ms, want at most 60000", got)
	}
	return option
}

// TestDeadPeer checks that keep-alive probes detect a dead peer in the time
// that is documented.
func TestDeadPeer(t *testing.T) {
	if probed := probes.Idle + probes.Interval*time.Duration(probes.Count); probed != DeadPeer {
		t.Errorf("probes detect a dead peer after %v, want %v", probed, DeadPeer)
	}
}
