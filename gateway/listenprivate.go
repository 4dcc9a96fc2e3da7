package gateway

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

// ErrInUse means that a server listens on a Unix socket already.
var ErrInUse = errors.New("another server listens there")

// ListenPrivate listens on a Unix socket that only this user can open (mode 0600), at a path of a folder that others may not write
// to. The socket of a server that has ended is replaced; that of one that runs is [ErrInUse]; anything else that is there is refused.
// Close removes the socket.
func ListenPrivate(ctx context.Context, path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	folder, err := keyfile.OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if err := mayReplace(ctx, path); err != nil {
		return nil, err
	}
	// It is made where nobody else can reach it, and gets its name when its mode is right.
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
	bound.SetUnlinkOnClose(false) // by then it has another name
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
	return &privateListener{UnixListener: bound, path: path, made: info}, nil
}

// mayReplace reports why a socket may not be put at a path.
func mayReplace(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there, and is no socket", path)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := DialPrivate(ctx, path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("%s: %w", path, ErrInUse), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil // nobody listens there any more
	}
	return fmt.Errorf("%s: %w", path, err)
}

// maxSocketPath is how long the path of a Unix socket may be where that is shortest (macOS, and the BSDs).
const maxSocketPath = 103

func cannotBind(path, made string, err error) error {
	if len(made) > maxSocketPath && errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("%s: the path is too long for a socket: it may have %d bytes", path, maxSocketPath-(len(made)-len(path)))
	}
	return fmt.Errorf("%s: %w", path, err)
}

// noAbstract keeps a path that begins with @ from being taken for the name of an abstract socket, which everybody can open.
func noAbstract(path string) string {
	if strings.HasPrefix(path, "@") {
		return "./" + path
	}
	return path
}

// A privateListener removes its socket, unless another has taken its place.
type privateListener struct {
	*net.UnixListener
	path   string
	made   fs.FileInfo
	remove sync.Once
}

// Close implements [net.Listener].
func (l *privateListener) Close() error {
	l.remove.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.made) {
			_ = os.Remove(l.path) // what is left is taken for what it is by the next who listens there
		}
	})
	return l.UnixListener.Close()
}

// Addr is the path of the socket.
func (l *privateListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// DialPrivate connects to a socket of [ListenPrivate].
func DialPrivate(ctx context.Context, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", noAbstract(path))
}
