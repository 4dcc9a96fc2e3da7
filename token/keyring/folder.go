package keyring

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"wsauth/internal/keyfile"
	"wsauth/token"
)

// maxKeys is the maximum size of a [token.KeySet].
const maxKeys = 256

// A file is the parsed content of a key file.
type file struct {
	data  [sha256.Size]byte // hash of the content
	entry Entry
}

// contents holds what was found in a folder.
type contents struct {
	files map[string]file // usable files, by name
	// All files that must be keys; nil if the folder could not be read.
	names []string

	replaced []string // raw secrets that were converted to a JWK
}

// read reads the folder. Files whose content has not changed since before are
// not parsed again, so their keys keep their identity. The error joins all
// errors, each with the name of its file.
func read(dir string, before map[string]file) (contents, error) {
	folder, err := keyfile.OpenFolder(dir)
	if err != nil {
		return contents{}, fmt.Errorf("keyring: %w", err)
	}
	defer folder.Close()
	for tries := 3; ; tries-- {
		c, vanished, err := readAll(dir, folder, before)
		if !vanished || tries == 1 {
			return c, err
		}
	}
}

// readAll reads the listed files once. vanished reports that a listed file no
// longer exists: it may have been renamed, to a name that is not in the list.
func readAll(dir string, folder *keyfile.Folder, before map[string]file) (c contents, vanished bool, _ error) {
	names, err := keyNames(dir, folder)
	if err != nil {
		return contents{}, false, err
	}
	c = contents{files: make(map[string]file, len(names)), names: names}
	var faults []error
	for _, name := range names {
		f, err := readOne(folder, name, before[name])
		if errors.Is(err, fs.ErrNotExist) && !folder.Has(name) {
			vanished = true
			continue
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("keyring: %s: %w", filepath.Join(dir, name), err))
			continue
		}
		c.files[name] = f
	}
	faults = append(faults, c.settle(dir))
	return c, vanished, errors.Join(faults...)
}

// keyNames returns the sorted names of the files that must be keys.
func keyNames(dir string, folder *keyfile.Folder) ([]string, error) {
	names, err := folder.Names()
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !isKey(name) })
	if len(names) > maxKeys {
		return nil, fmt.Errorf("keyring: %s holds more than %d keys; remove those that have expired: wsauth keys prune", dir, maxKeys)
	}
	return names, nil
}

func readOne(folder *keyfile.Folder, name string, before file) (file, error) {
	data, err := folder.Read(name)
	if err != nil {
		return file{}, err
	}
	f := file{data: sha256.Sum256(data)}
	if f.data == before.data {
		return before, nil
	}
	if f.entry, err = Parse(name, data); err != nil {
		return file{}, fmt.Errorf("%w; fix the file, or move it out of the folder", err)
	}
	return f, nil
}

// settle reports keys with the same ID as errors. If one of two files is a raw
// secret and the other holds the same key, settle instead moves the secret to
// c.replaced: both files exist while retire converts the secret.
func (c *contents) settle(dir string) error {
	var faults []error
	owner := map[string]string{}
	for _, name := range c.names {
		f, ok := c.files[name]
		if !ok {
			continue
		}
		id := f.entry.Key.ID()
		other, taken := owner[id]
		switch {
		case !taken:
			owner[id] = name
		case replaces(c.files[other].entry, f.entry):
			delete(c.files, name)
			c.replaced = append(c.replaced, name)
		case replaces(f.entry, c.files[other].entry):
			delete(c.files, other)
			c.replaced = append(c.replaced, other)
			owner[id] = name
		default:
			faults = append(faults, fmt.Errorf("keyring: %s: %s and %s have the same ID, %q; remove one of them, or name another kid in it",
				dir, other, name, id))
		}
	}
	return errors.Join(faults...)
}

// replaces reports whether by holds the key of the raw secret old.
func replaces(by, old Entry) bool {
	return isSecret(old.File) && !isSecret(by.File) && string(by.Key.JWK()) == string(old.Key.JWK())
}

// entries returns the entries of files, newest first.
func entries(files map[string]file) []Entry {
	list := make([]Entry, 0, len(files))
	for _, f := range files {
		list = append(list, f.entry)
	}
	slices.SortFunc(list, newestFirst)
	return list
}

// List returns the keys of a folder, newest first. It fails if any file is not
// usable.
func List(dir string) ([]Entry, error) {
	c, err := read(dir, nil)
	if err != nil {
		return nil, err
	}
	return entries(c.files), nil
}

// newSet returns a set of keys, which may be empty.
func newSet(keys []*token.Key) (*token.KeySet, error) {
	if len(keys) == 0 {
		return &token.KeySet{}, nil
	}
	return token.NewKeySet(keys...)
}
