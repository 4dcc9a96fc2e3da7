//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

const advice = "try again when it has ended, or remove the file if there is no such program"

// try creates the lock file, or returns ErrHeld.
func try(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the path that our caller has chosen
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrHeld
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("filelock: %w", err)
	}
	// If it remains, the next Lock reports it.
	return sync.OnceFunc(func() { _ = os.Remove(path) }), nil
}
