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

// MaxBytes is the length of the longest file of users that is read.
const MaxBytes = 8 << 20

// ReadFile reads a file of users. It refuses, with an error that says how to mend it, anything but a regular file, one that
// belongs to neither this user nor root, and one that its group may write or anybody else may read: who reads hashes can guess
// passwords at leisure, and who writes them is every user. A group may read it, as that of a service whose administrator
// writes it.
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
	list, err := ParseList(data)
	if err != nil {
		return nil, inFile(path, err)
	}
	return list, nil
}

// inFile names the file in each line of an error of [ParseList].
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

// openFile opens path for reading when it may be trusted. The check is of the open file, not of the name.
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

// UpdateFile changes the users of a file, as [WriteFile] would: change gets what [ReadFile] returns, also its error, and returns
// those that are to be. Of several programs that do so at once one waits for the other, by a lock beside the file whose name ends in
// ".lock"; with [filelock.ErrHeld] none has changed anything.
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

// target is the file that path leads to, which need not be there.
func target(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// WriteFile puts a file of users in the place of another, all or nothing: it is on disk before it gets the name. A new file has
// mode 0600, and one that was there keeps its mode, owner and group. A symbolic link stays, and leads to the new file. Comments are
// lost.
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
