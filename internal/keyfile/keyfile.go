// Package keyfile keeps one secret in one file that only its owner can read.
//
// A signing key that another account can read is a key that another account can sign with, so a file that is too open is
// refused rather than quietly mended: whoever could read it may have done so already, and only a person can judge that.
package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxBytes is the longest file that is read.
const MaxBytes = 64 << 10

// LoadOrCreate returns the content of the file at path. When there is none it calls generate, stores what that returns in a
// new file of mode 0600 (its folder is made with mode 0700) and reports created.
//
// It refuses, with an error that says how to mend it, a symbolic link, anything but a regular file, a file that belongs to
// another user or that group or others may read or write, an empty file, one longer than [MaxBytes], and a folder that others
// may write to. No error contains the content.
//
// Any number of processes may make the first call at once: all return the same content, and none sees half of it.
func LoadOrCreate(path string, generate func() ([]byte, error)) (data []byte, created bool, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("keyfile: make the folder: %w", err)
	}
	if err := checkFolder(dir); err != nil {
		return nil, false, err
	}
	data, err = load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, false, err
	}
	data, err = generate()
	if err != nil {
		return nil, false, fmt.Errorf("keyfile: make a new key: %w", err)
	}
	err = create(path, data)
	if errors.Is(err, fs.ErrExist) { // another process was first: its key is the key
		data, err = load(path)
		return data, false, err
	}
	if err != nil {
		return nil, false, err
	}
	return data, true, nil
}

// load reads the file at path after it has made sure, on the open file, that nobody else could have.
func load(path string) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	return readAll(f, path)
}

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

// create stores data at path, all or nothing, and fails with [fs.ErrExist] when the path is taken. The file is complete and on
// disk before it gets its name; a link, unlike a rename, never replaces what another process put there meanwhile.
func create(path string, data []byte) error { return write(path, data, os.Link) }

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
