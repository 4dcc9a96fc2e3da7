package eventloop

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// busyServer returns the address of a server on this machine that accepts
// nothing, and whose queue is full.
func busyServer(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port))
	for range 16 {
		conn, err := Dial(t.Context(), server, 20*time.Millisecond)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return server
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("a queue of 0 takes 16 connections")
	return server
}

// TestDialWaits checks that Dial waits for a slow server until the timeout, or
// until the context is canceled.
func TestDialWaits(t *testing.T) {
	server := busyServer(t)
	start := time.Now()
	if _, err := Dial(t.Context(), server, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 100*time.Millisecond {
		t.Errorf("%v after %v, want a timeout after 100 ms", err, time.Since(start))
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start = time.Now()
	if _, err := Dial(ctx, server, time.Minute); !errors.Is(err, context.Canceled) || time.Since(start) > 30*time.Second {
		t.Errorf("%v after %v, want that of the context at once", err, time.Since(start))
	}
	if _, err := Dial(ctx, server, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that of the context", err)
	}
}

// TestDialV6 checks that Dial tries an IPv6 address: the connection is refused,
// because nothing listens there.
func TestDialV6(t *testing.T) {
	_, err := Dial(t.Context(), netip.MustParseAddrPort("[::1]:1"), time.Second)
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EAFNOSUPPORT) {
		t.Errorf("%v, want that nobody listens there", err)
	}
}
