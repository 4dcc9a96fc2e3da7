//go:build linux

package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pending returns the notification that is waiting in conn, or "". It does not
// block.
func pending(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	message, n := make([]byte, 4096), 0
	if err := raw.Read(func(fd uintptr) bool { n, err = syscall.Read(int(fd), message); return true }); err != nil {
		t.Fatal(err)
	}
	if err != nil && !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	return string(message[:max(n, 0)])
}

// TestNotifyStopping checks that the service manager is notified before the
// process can exit, however fast the server stops. It is not notified of a
// server that stops because of an error.
func TestNotifyStopping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		stop := notifyStopping(ctx, log, time.Second)
		cancel()
		stop()
		if got := pending(t, conn); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=6000000" {
			t.Fatalf("notified %q", got)
		}
	}
	notifyStopping(t.Context(), log, time.Second)()
	if got := pending(t, conn); got != "" {
		t.Errorf("notified %q", got)
	}
}
