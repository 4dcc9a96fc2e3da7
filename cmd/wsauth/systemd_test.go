//go:build linux

package main

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsauth/internal/testenv"
)

// A manager stands in for systemd at the end that it is told things at.
type manager struct {
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{conn, path}
}

// told waits until it is told something that begins so, and returns it.
func (m *manager) told(t *testing.T, want string) string {
	t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	for message := make([]byte, 4096); ; {
		n, err := m.conn.Read(message)
		if err != nil {
			t.Fatalf("not told %s: %v", want, err)
		}
		if got := string(message[:n]); strings.HasPrefix(got, want) {
			return got
		}
	}
}

// service is a command of this machine with a home of its own.
func service(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	return cmd
}

// The service manager is told when the server is ready, that it is alive, when
// it reads its file anew, and when it ends.
func TestNotify(t *testing.T) {
	m := newManager(t)
	cmd := service(t, "wsauth", "serve", "--addr=127.0.0.1:0", "--config=wsauth.yaml", "--drain=40s")
	if err := os.WriteFile(filepath.Join(cmd.Dir, "wsauth.yaml"), []byte("routes: [{path: /, upstream: 'http://127.0.0.1:1', public: true}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=300000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.told(t, "READY=1")
	m.told(t, "WATCHDOG=1")
	m.told(t, "WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := m.told(t, "RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("%q", got)
	}
	m.told(t, "READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := m.told(t, "STOPPING=1"); !strings.Contains(got, "\nEXTEND_TIMEOUT_USEC=45000000") {
		t.Errorf("%q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// has returns what has been told already, without waiting.
func (m *manager) has(t *testing.T) string {
	t.Helper()
	raw, err := m.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	message, n := make([]byte, 4096), 0
	_ = m.conn.SetReadDeadline(time.Time{})
	if err := raw.Read(func(fd uintptr) bool { n, _ = syscall.Read(int(fd), message); return true }); err != nil {
		t.Fatal(err)
	}
	return string(message[:max(n, 0)])
}

// TestEndingIsTold: the end is told before the process can exit, however fast
// the server stops; and it is not told of a server that stops by a fault.
func TestEndingIsTold(t *testing.T) {
	m := newManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	log := slog.New(slog.DiscardHandler)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		stop := tellEnding(ctx, log, time.Second)
		cancel()
		stop()
		if got := m.has(t); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=6000000" {
			t.Fatalf("told %q", got)
		}
	}
	tellEnding(t.Context(), log, time.Second)()
	if got := m.has(t); got != "" {
		t.Errorf("told %q", got)
	}
}

// The server takes the socket that the service manager holds: who connected
// before it ran is served.
func TestSocketActivation(t *testing.T) {
	activate := testenv.NeedProgram(t, "systemd-socket-activate")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	wsauth, err := exec.LookPath("wsauth")
	if err != nil {
		t.Fatal(err)
	}
	cmd := service(t, activate, "--listen="+addr, "--setenv=HOME", wsauth, "serve", "--addr=192.0.2.1:1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	if !log.Scan() || !strings.HasPrefix(log.Text(), "Listening on ") {
		t.Fatalf("%q", log.Text())
	}
	lines := make(chan string, 1)
	go func() {
		var all strings.Builder
		for log.Scan() {
			all.WriteString(log.Text() + "\n")
		}
		lines <- all.String()
	}()
	resp, err := (&http.Client{Timeout: patience}).Get("http://" + addr + "/livez") // it may not be ready yet
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if all := <-lines; !strings.Contains(all, "url=http://"+addr+"/") || !strings.Contains(all, "msg=stopped") {
		t.Errorf("log: %s", all)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
