//go:build linux

package main

import (
	"bufio"
	"context"
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

// A manager is the notification socket of a service manager.
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

// awaitNotification waits for a notification that begins with want, and returns
// it.
func (m *manager) awaitNotification(t *testing.T, want string) string {
	t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(patience))
	for message := make([]byte, 4096); ; {
		n, err := m.conn.Read(message)
		if err != nil {
			t.Fatalf("no notification %s: %v", want, err)
		}
		if got := string(message[:n]); strings.HasPrefix(got, want) {
			return got
		}
	}
}

// service returns a command with its own home folder.
func service(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	return cmd
}

// TestNotify checks that the service manager is notified when the server is
// ready, alive, reloading and stopping.
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
	m.awaitNotification(t, "READY=1")
	m.awaitNotification(t, "WATCHDOG=1")
	m.awaitNotification(t, "WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := m.awaitNotification(t, "RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
		t.Errorf("got %q", got)
	}
	m.awaitNotification(t, "READY=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := m.awaitNotification(t, "STOPPING=1"); !strings.Contains(got, "\nEXTEND_TIMEOUT_USEC=45000000") {
		t.Errorf("got %q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestSocketActivation checks that the server uses the socket of the service
// manager, and serves a client that connected before the server started.
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
		t.Fatalf("got %q", log.Text())
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
