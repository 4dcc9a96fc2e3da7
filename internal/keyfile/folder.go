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

// maxNames is the maximum number of files in a folder.
const maxNames = 4096

// A Folder contains secrets, each in a file of its own. The files may be owned
// by this user or by root, as in volumes that an orchestrator mounts.
type Folder struct {
	root *os.Root
	path string
}

// OpenFolder opens the folder at path, which may be a symbolic link. It refuses
// a folder that neither this user nor root owns. It also refuses one that
// others can write to, unless it has the sticky bit, as mounted volumes do
// (mode 1777).
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

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Names returns the sorted names of all files in the folder. It fails if there
// are more than 4096.
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

// Has reports whether the folder has an entry called name, which may be a
// dangling symbolic link.
func (f *Folder) Has(name string) bool {
	_, err := f.root.Lstat(name)
	return err == nil
}

// Read returns the content of the file called name.
//
// It refuses files that are not regular, that another user owns, that the group
// or others can access, or that are empty or longer than [MaxBytes]. The error
// says how to fix this. For mounted volumes there are two exceptions: name may
// be a symbolic link to a file in the same folder or below, and a file of root
// may be readable by a group. Errors never contain the content.
func (f *Folder) Read(name string) ([]byte, error) {
	path := filepath.Join(f.path, name)
	link, err := f.root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", withPath(path, err))
	}
	if err := checkLink(path, link); err != nil {
		return nil, err
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, f.cannotOpen(path, link, withPath(path, err))
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

// withPath replaces the path in an error about a file in a folder with the
// whole path.
func withPath(path string, err error) error {
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // as package os returns it
		return &fs.PathError{Op: "open", Path: path, Err: e.Err}
	}
	return err
}

func (f *Folder) cannotOpen(path string, link fs.FileInfo, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("keyfile: %w; start as the user who owns it, or fix it: chmod 600 %s", err, quote(path))
	case link.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("keyfile: %w; a symbolic link may lead only to a file in the folder %s, by a relative path: put the key file itself there",
			err, f.path)
	}
	return fmt.Errorf("keyfile: %w", err)
}
