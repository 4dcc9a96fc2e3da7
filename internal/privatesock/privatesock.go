// Package privatesock listens on and dials Unix sockets that only the current
// user can open.
package privatesock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"wsauth/internal/keyfile"
)

// ErrInUse means that another server already listens on a Unix socket.
var ErrInUse = errors.New("another server listens there")

// Listen listens on a Unix socket that only the current user can open (mode
// 0600). The folder of path must not be writable by others. Listen replaces the
// socket of a server that is no longer running. It fails with [ErrInUse] if the
// server is running, and with another error if path is not a socket. Close
// removes the socket.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	folder, err := keyfile.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if err := mayReplace(ctx, path); err != nil {
		return nil, err
	}
	// The socket is created in a private folder and moved to its path after
	// its mode is set, so that no other user can connect before.
	private, err := os.MkdirTemp(dir, ".s") // mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	bound, err := net.ListenUnix("unix", &net.UnixAddr{Name: noAbstract(made), Net: "unix"})
	if err != nil {
		return nil, cannotBind(path, made, err)
	}
	bound.SetUnlinkOnClose(false) // Close would look for it under its old name
	info, err := os.Lstat(made)
	if err == nil {
		err = os.Chmod(made, 0o600)
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return nil, errors.Join(err, bound.Close())
	}
	return &listener{UnixListener: bound, path: path, made: info}, nil
}

// mayReplace returns an error if a socket must not be created at path.
func mayReplace(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := Dial(ctx, path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%s: %w", path, ErrInUse), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil // no server listens there any more
	}
	return fmt.Errorf("%s: %w", path, err)
}

// maxSocketPath is the shortest limit of any system on the length of a Unix
// socket's path, in bytes (macOS and the BSDs).
const maxSocketPath = 103

func cannotBind(path, made string, err error) error {
	if len(made) > maxSocketPath && errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%s: the path is too long for a socket: at most %d bytes", path, maxSocketPath-(len(made)-len(path)))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// noAbstract rewrites a path that begins with @. Otherwise it would name an
// abstract socket, which every user can open.
func noAbstract(path string) string {
	if strings.HasPrefix(path, "@") {
		return "./" + path
	}
	return path
}

// A listener removes its socket file when it is closed, unless the file
// has been replaced.
type listener struct {
	*net.UnixListener
	path   string
	made   fs.FileInfo
	remove sync.Once
}

func (l *listener) Close() error {
	l.remove.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.made) {
			_ = os.Remove(l.path) // the next Listen replaces a file that is left behind
		}
	})
	return l.UnixListener.Close()
}

// Addr returns the path of the socket.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Dial connects to a socket that Listen has opened.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", noAbstract(path))
}
