//go:build !unix

package keyfile

import (
	"fmt"
	"io/fs"
	"strconv"
)

// checkFile refuses what is not a regular file. Who may read it is the access list's business on these systems: the user's own
// folder is closed to others there.
func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("keyfile: %s is not a regular file", path)
	}
	return nil
}

// noWait is for systems with pipes that have names.
const noWait = 0

func checkMounted(path string, info fs.FileInfo) error { return checkFile(path, info) }

func checkLink(string, fs.FileInfo) error { return nil }

// checkOwnedFolder trusts the access list of the folder.
func checkOwnedFolder(string, fs.FileInfo) error { return nil }

// quote makes path one word of a shell command.
func quote(path string) string { return strconv.Quote(path) }
