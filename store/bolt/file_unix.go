//go:build unix

package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// openPlain opens or creates a file. It does not follow a symbolic link in the
// last component of path.
func openPlain(path string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, mode) //nolint:gosec // the path that our caller has chosen
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link; name the file itself", path)
	}
	return file, err
}

// checkPrivate refuses a file that other users own or can access.
func checkPrivate(path string, info fs.FileInfo) error {
	quoted := "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user; start as that user, or fix it: chown %d %s", path, os.Geteuid(), quoted)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o); fix it: chmod 600 %s", path, info.Mode().Perm(), quoted)
	}
	return nil
}
