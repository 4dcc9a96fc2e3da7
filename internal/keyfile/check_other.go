//go:build !unix

package keyfile

import (
	"fmt"
	"io/fs"
	"strconv"
)

// checkFile refuses anything but a regular file. On these systems, access
// control lists determine who may read it; the user's own folder is not
// accessible to others.
func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("keyfile: %s is not a regular file", path)
	}
	return nil
}

// noWait is only needed on systems with named pipes.
const noWait = 0

func checkMounted(path string, info fs.FileInfo) error { return checkFile(path, info) }

func checkLink(string, fs.FileInfo) error { return nil }

// checkOwnedFolder accepts all folders: access control lists protect them.
func checkOwnedFolder(string, fs.FileInfo) error { return nil }

// quote quotes path for a shell command.
func quote(path string) string { return strconv.Quote(path) }
