// Package keyfile stores secrets in files that only their owner can read.
//
// If another account can read a signing key, it can sign tokens. Files with
// permissions that are too wide are therefore refused, not silently fixed:
// another account may already have read the key, and only an administrator can
// judge that.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxBytes is the maximum size of a key file.
const MaxBytes = 64 << 10

// readAll reads f, which was opened at path.
func readAll(f io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("keyfile: %w", err)
	case len(data) == 0:
		return nil, fmt.Errorf("keyfile: %s is empty; remove it to generate a new key: rm %s", path, quote(path))
	case len(data) > MaxBytes:
		return nil, fmt.Errorf("keyfile: %s is longer than %d bytes, so it is not a key file", path, MaxBytes)
	}
	return data, nil
}

// Create atomically creates a file with mode 0600. It returns [fs.ErrExist] if
// path exists. The file is complete and on disk before it is linked to its
// name; unlike a rename, a link never replaces a file that another process has
// created in the meantime.
func Create(path string, data []byte) error { return write(path, data, os.Link) }

// Replace atomically replaces the file at path. The new file has mode 0600, and
// is on disk before it is renamed to path.
func Replace(path string, data []byte) error { return write(path, data, os.Rename) }

// write writes data to a temporary file in the folder of path, syncs it, and
// calls put to give it its name.
func write(path string, data []byte, put func(tmp, path string) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600, O_EXCL
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails if it was renamed
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	if err := put(tmp.Name(), path); err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return nil
}

// ReadFile reads a file outside a key folder. path may contain symbolic links,
// such as those that programs for renewing certificates create. The folders of
// path and of its target must satisfy [OpenFolder], and the target must satisfy
// [Folder.Read].
func ReadFile(path string) ([]byte, error) {
	linkFolder, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := linkFolder.Close(); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	folder, err := OpenFolder(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return folder.Read(filepath.Base(target))
}
