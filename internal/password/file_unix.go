//go:build unix

package password

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// openNow opens path for reading. If it is a named pipe, it does not wait for
// a writer.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func checkFile(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	quoted := "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	switch {
	case !ok || int(stat.Uid) != os.Geteuid() && stat.Uid != 0:
		return fmt.Errorf("%s belongs to another user; fix it: chown %d %s", path, os.Geteuid(), quoted)
	case info.Mode().Perm()&0o027 != 0:
		return fmt.Errorf("%s is open to others (mode %04o); fix it: chmod 600 %s, and change the passwords if someone may have read or written it",
			path, info.Mode().Perm(), quoted)
	}
	return nil
}

// keepOwner sets the owner and group of f to those of old.
func keepOwner(f *os.File, old fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	oldStat, okOld := old.Sys().(*syscall.Stat_t)
	if !ok || !okOld || stat.Uid == oldStat.Uid && stat.Gid == oldStat.Gid {
		return nil
	}
	return f.Chown(int(oldStat.Uid), int(oldStat.Gid))
}
