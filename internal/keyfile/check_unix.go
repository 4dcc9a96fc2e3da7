//go:build unix

package keyfile

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// checkFile refuses a file that other users own or can access.
func checkFile(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("keyfile: %s is not a regular file", path)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("keyfile: %s belongs to another user; start as that user, or fix it: chown %d %s",
			path, os.Geteuid(), quote(path))
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("keyfile: %s is open to others (mode %04o); fix it: chmod 600 %s, and generate a new key if someone may have read it",
			path, info.Mode().Perm(), quote(path))
	}
	return nil
}

func checkFolderMode(dir string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("keyfile: others may write to the folder %s (mode %04o); choose a folder of your own, or fix it: chmod go-w %s",
			dir, info.Mode().Perm(), quote(dir))
	}
	return nil
}

// noWait is a flag to open a named pipe without waiting for a writer.
const noWait = syscall.O_NONBLOCK

// checkMounted is like checkFile, but a file of root may also be readable by a
// group, so that the administrator can provide the key of a service.
func checkMounted(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid == 0 && os.Geteuid() != 0 && info.Mode().IsRegular() && info.Mode().Perm()&0o037 == 0 {
		return nil
	}
	return checkFile(path, info)
}

// checkLink refuses a symbolic link that another user owns.
func checkLink(path string, info fs.FileInfo) error {
	if info.Mode()&fs.ModeSymlink != 0 && !trusted(info) {
		return fmt.Errorf("keyfile: %s is a symbolic link of another user; remove it, and put the key file itself there", path)
	}
	return nil
}

// checkOwnedFolder refuses a folder in which others could replace a key. A
// folder with the sticky bit is accepted: others can add files to it, but
// these are refused.
func checkOwnedFolder(dir string, info fs.FileInfo) error {
	switch {
	case !trusted(info):
		return fmt.Errorf("keyfile: the folder %s belongs to another user; choose a folder of your own, or fix it: chown %d %s",
			dir, os.Geteuid(), quote(dir))
	case info.Mode()&fs.ModeSticky != 0:
		return nil
	}
	return checkFolderMode(dir, info)
}

// trusted reports whether the owner is this user or root.
func trusted(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

// quote quotes path for a shell command.
func quote(path string) string {
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
