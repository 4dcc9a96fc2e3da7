package password

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wsauth/internal/filelock"
)

// MaxBytes is the maximum size of a user file.
const MaxBytes = 8 << 20

// ReadFile reads a user file. It refuses files that are not regular, that are
// owned by neither this user nor root, that the group can write to, or that
// others can access. The error says how to fix this. An attacker who reads the
// hashes can guess passwords offline, and one who writes them can log in as any
// user. The group may read the file, so that an administrator can write it for
// the group of a service.
func ReadFile(path string) (*List, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("password: %w", err)
	case len(data) > MaxBytes:
		return nil, fmt.Errorf("password: %s is longer than %d bytes, so it is not a file of users", path, MaxBytes)
	}
	list, err := parseList(data)
	if err != nil {
		return nil, inFile(path, err)
	}
	return list, nil
}

// inFile adds the name of the file to each line of an error of parseList.
func inFile(path string, err error) error {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for i, one := range all {
		all[i] = fmt.Errorf("password: %s: %w", path, one)
	}
	return errors.Join(all...)
}

// openFile opens path for reading if it can be trusted. It checks the open
// file, not the name.
func openFile(path string) (*os.File, error) {
	f, err := openNow(path)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		err = checkFile(path, info)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("password: %w", err), f.Close())
	}
	return f, nil
}

// UpdateFile changes the users of a file. It calls change with the results of
// [ReadFile], and writes the returned users with [WriteFile]. A lock file with
// the extension ".lock" serializes concurrent updates by several programs. If
// the lock is not available, the error is [filelock.ErrHeld] and nothing has
// changed.
func UpdateFile(ctx context.Context, path string, change func(*List, error) ([]User, error)) error {
	path = target(path)
	unlock, err := filelock.Lock(ctx, path+".lock")
	if err != nil {
		return fmt.Errorf("password: change %s: %w", path, err)
	}
	defer unlock()
	users, err := change(ReadFile(path))
	if err != nil {
		return err
	}
	list, err := NewList(users)
	if err != nil {
		return err
	}
	return WriteFile(path, list)
}

// target resolves symbolic links in path. The file need not exist.
func target(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// WriteFile atomically replaces a user file: the new content is on disk before
// it is renamed to path. A new file has mode 0600; an existing file keeps its
// mode, owner and group. If path is a symbolic link, its target is replaced.
// Comments are lost.
func WriteFile(path string, l *List) error {
	path = target(path)
	mode := os.FileMode(0o600)
	old, err := os.Stat(path)
	if err == nil {
		mode = old.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600, O_EXCL
	if err != nil {
		return fmt.Errorf("password: %w", err)
	}
	defer os.Remove(tmp.Name())
	if old != nil {
		if err := keepOwner(tmp, old); err != nil {
			return fmt.Errorf("password: the owner of %s cannot be kept: %w; write it as that user, or as root", path, err)
		}
	}
	_, err = tmp.Write(l.format())
	if err := errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	return nil
}
