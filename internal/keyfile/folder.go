package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// maxNames bounds what one folder may hold.
const maxNames = 4096

// A Folder holds secrets, each in a file of its own. Whoever fills it may be this user, or root, as where an orchestrator mounts it.
type Folder struct {
	root *os.Root
	path string
}

// OpenFolder opens the folder at path, which a symbolic link may lead to. It refuses one that belongs to neither this user nor root,
// and one that others may write to, unless only root may remove files there (mode 1777, as such mounts have).
func OpenFolder(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	info, err := root.Stat(".")
	if err == nil {
		err = checkOwnedFolder(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Folder{root, path}, nil
}

// Close ends the use of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Names are the names of all that is in the folder, sorted. More than 4096 are an error.
func (f *Folder) Names() ([]string, error) {
	dir, err := f.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxNames + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("keyfile: %w", err)
	case len(names) > maxNames:
		return nil, fmt.Errorf("keyfile: %s holds more than %d files, so it is not a folder of keys", f.path, maxNames)
	}
	slices.Sort(names)
	return names, nil
}

// Has reports whether there is something called name, be it a link that leads nowhere.
func (f *Folder) Has(name string) bool {
	_, err := f.root.Lstat(name)
	return err == nil
}

// Read returns the content of the file called name.
//
// It refuses, with an error that says how to mend it, anything but a regular file, a file that belongs to another user or that group or
// others may read or write, an empty file, and one longer than [MaxBytes]. Two things are as a mounted secret has them: a symbolic link
// may lead to a file in the same folder or below it, and a file of root may be read by a group. No error contains the content.
func (f *Folder) Read(name string) ([]byte, error) {
	path := filepath.Join(f.path, name)
	link, err := f.root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", at(path, err))
	}
	if err := checkLink(path, link); err != nil {
		return nil, err
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, f.cannotOpen(path, link, at(path, err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if err := checkMounted(path, info); err != nil {
		return nil, err
	}
	return readAll(file, path)
}

// at names the whole path in an error of a file in a folder.
func at(path string, err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // as package os returns it
		return &fs.PathError{Op: "open", Path: path, Err: e.Err}
	}
	return err
}

func (f *Folder) cannotOpen(path string, link fs.FileInfo, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("keyfile: %w; start as the user who owns it, or mend it: chmod 600 %s", err, quote(path))
	case link.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("keyfile: %w; a symbolic link may lead only to a file in the folder %s, by a relative path: put the key file itself there",
			err, f.path)
	}
	return fmt.Errorf("keyfile: %w", err)
}
