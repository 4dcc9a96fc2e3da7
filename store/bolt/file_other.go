//go:build !unix

package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// openPlain opens or creates a file, unless it is a symbolic link.
func openPlain(path string, flag int, mode os.FileMode) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s is a symbolic link; name the file itself", path)
	}
	return os.OpenFile(path, flag, mode)
}

// checkPrivate refuses anything but a regular file. On these systems, access
// control lists determine who may read it.
func checkPrivate(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}
