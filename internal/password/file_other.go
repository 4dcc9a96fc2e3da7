//go:build !unix

package password

import (
	"io/fs"
	"os"
)

func openNow(path string) (*os.File, error) { return os.Open(path) }

// checkFile trusts the access list of the file.
func checkFile(string, fs.FileInfo) error { return nil }

// keepOwner leaves the owner to the folder.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
