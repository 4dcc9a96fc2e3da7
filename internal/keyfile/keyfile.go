// Package keyfile keeps secrets in a folder, each in a file that only its owner can read.
//
// A signing key that another account can read is a key that another account can sign with, so a file that is too open is
// refused rather than quietly mended: whoever could read it may have done so already, and only a person can judge that.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxBytes is the longest file that is read.
const MaxBytes = 64 << 10

// readAll reads f, which is open at path.
func readAll(f io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("keyfile: %w", err)
	case len(data) == 0:
		return nil, fmt.Errorf("keyfile: %s is empty; remove it to have a new key made: rm %s", path, quote(path))
	case len(data) > MaxBytes:
		return nil, fmt.Errorf("keyfile: %s is longer than %d bytes, so it is not a key file", path, MaxBytes)
	}
	return data, nil
}

// Create stores data in a new file of mode 0600, all or nothing, and fails with [fs.ErrExist] when the path is taken. The file is
// complete and on disk before it gets its name; a link, unlike a rename, never replaces what another process put there meanwhile.
func Create(path string, data []byte) error { return write(path, data, os.Link) }

// Replace puts data in the place of the file at path, all or nothing, with mode 0600: it is on disk before it gets the name.
func Replace(path string, data []byte) error { return write(path, data, os.Rename) }

// write stores data in a file beside path, on disk, and gives it the name by put.
func write(path string, data []byte, put func(tmp, path string) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600, O_EXCL
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails where it was renamed
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	if err := put(tmp.Name(), path); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return nil
}
