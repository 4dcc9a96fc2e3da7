//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

const advice = "try again when it has ended"

// try takes the lock, or returns ErrHeld.
//
// flock locks a file, not a name, and unlock removes the name. Another program
// may unlock after try has opened the file and before it locks it. The file is
// then no longer at path, and locking it has no effect, so take checks this.
func try(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600) //nolint:gosec // the path that our caller has chosen
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("filelock: %s is a symbolic link, not a lock file; remove it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("filelock: %w", err)
	}
	if err := take(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sync.OnceFunc(func() {
		_ = os.Remove(path) //nolint:gosec // the path that our caller has chosen; one that stays is taken over
		_ = f.Close()       // releases the lock
	}), nil
}

// take locks f, and checks that it is still the file at path.
func take(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("filelock: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > 0 {
		return fmt.Errorf("filelock: %s is not an empty file, as a lock file is; move it away", path)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return ErrHeld
	case err != nil:
		return fmt.Errorf("filelock: lock %s: %w", path, err)
	}
	named, err := os.Lstat(path) //nolint:gosec // the path that our caller has chosen
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !os.SameFile(info, named):
		return ErrHeld // the file was replaced or just removed
	case err != nil:
		return fmt.Errorf("filelock: %w", err)
	}
	return nil
}
