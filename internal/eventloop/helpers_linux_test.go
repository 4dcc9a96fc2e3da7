package eventloop

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for one event. It allows for a busy
// machine.
const patience = 10 * time.Second

// receive returns the next value of c, and fails the test if none comes.
func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("nothing received within %v", patience)
	}
	return v
}

// until calls done until it returns true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); runtime.Gosched() {
		if time.Since(start) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// newGroup returns a group that is closed when the test ends.
func newGroup(t *testing.T, loops int) *Group {
	t.Helper()
	g, err := New(Options{Loops: loops})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, g) })
	return g
}

// closeNow closes a group.
func closeNow(t *testing.T, g *Group) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		g.Close()
		close(closed)
	}()
	receive(t, closed)
}

// descriptors returns how many files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connectTo opens the far end of a connection.
func connectTo(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return far.(*net.TCPConn)
}

// wantCut fails the test unless the stream ends or is reset.
func wantCut(t *testing.T, conn net.Conn, whose string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(conn); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s got %q, %v; want the end or a reset", whose, rest, err)
	}
}

// withDescriptors calls f while the process can open only left more files.
func withDescriptors(t *testing.T, left int, f func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	next, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(next)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next + left), Max: limit.Max}); err != nil { //nolint:gosec // not negative
		t.Fatal(err)
	}
	f()
}
