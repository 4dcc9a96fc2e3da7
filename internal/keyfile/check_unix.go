//go:build unix

package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// open opens path for reading. It does not follow a symbolic link in the last place, and does not wait for the writer of a pipe.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("keyfile: %s is a symbolic link; put the key file itself there", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("keyfile: %w; start as the user who owns it, or mend it: chmod 600 %s", err, quote(path))
	default:
		return nil, fmt.Errorf("keyfile: %w", err)
	}
}

// checkFile refuses a file that is not a secret of this user.
func checkFile(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("keyfile: %s is not a regular file", path)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("keyfile: %s belongs to another user; start as that user, or mend it: chown %d %s",
			path, os.Geteuid(), quote(path))
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("keyfile: %s is open to others (mode %04o); mend it: chmod 600 %s, and make a new key if someone may have read it",
			path, info.Mode().Perm(), quote(path))
	}
	return nil
}

// checkFolder refuses a folder in which others could put a file of theirs in the place of the key.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("keyfile: others may write to the folder %s (mode %04o); choose a folder of your own, or mend it: chmod go-w %s",
			dir, info.Mode().Perm(), quote(dir))
	}
	return nil
}

// quote makes path one word of a shell command.
func quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
