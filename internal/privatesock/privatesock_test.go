//go:build unix

package privatesock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shortDir returns a folder whose path is short enough for a socket in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestListen(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "admin.sock")
	defer syscall.Umask(syscall.Umask(0)) // so that a socket could be open to everybody
	l, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != path {
		t.Errorf("address %v", l.Addr())
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("the folder holds %v, %v", names, err)
	}
	if _, err := Listen(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Errorf("of two servers the second: %v", err)
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.Close() // the other server checks whether a server is running
		}
		accepted <- err
	}()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

// TestListenReplacesAStaleSocket checks that the socket of a killed server is
// replaced, and that a replaced server does not remove the new socket.
func TestListenReplacesAStaleSocket(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "admin.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	first, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Errorf("the first server took the socket of the second away: %v", err)
	} else {
		conn.Close()
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(dir string) error
		path    string
		want    string
	}{
		"a file":              {func(dir string) error { return os.WriteFile(dir+"/s", []byte("precious"), 0o600) }, "s", "is not a socket"},
		"a folder":            {func(dir string) error { return os.Mkdir(dir+"/s", 0o700) }, "s", "is not a socket"},
		"a link":              {func(dir string) error { return os.Symlink("elsewhere", dir+"/s") }, "s", "is not a socket"},
		"a folder for others": {func(dir string) error { return os.Chmod(dir, 0o777) }, "s", "chmod go-w"},
		"no folder":           {func(string) error { return nil }, "none/s", "no such file"},
		"a long path":         {func(string) error { return nil }, strings.Repeat("x", 120), "too long for a socket"},
	} {
		dir := shortDir(t)
		if err := tt.prepare(dir); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if name == "a long path" {
			dir = filepath.Join(dir, strings.Repeat("d", 120))
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		l, err := Listen(t.Context(), filepath.Join(dir, tt.path))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, tt.want)
		}
		if l != nil {
			l.Close()
		}
		after, err := os.ReadDir(dir)
		if name != "a long path" && (err != nil || len(before) != len(after)) || name == "a long path" && len(after) > 0 {
			t.Errorf("%s: the folder held %v, and holds %v, %v", name, before, after, err)
		}
	}
}
