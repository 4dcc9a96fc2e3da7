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

// maxKeys is how many keys a [token.KeySet] can have.
const maxKeys = 256

// A file is one that was read.
type file struct {
	data  [sha256.Size]byte // the hash of its content
	entry Entry
}

// contents is what was found in a folder.
type contents struct {
	files map[string]file // those that can be used, by name
	names []string        // all that must be keys; nil where nobody knows

	replaced []string // raw secrets that a JWK has taken the place of
}

// read reads the folder. A file whose content is as before is not parsed anew, so that its key stays the same one. The error has every
// fault, each with the name of its file.
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

// readAll reads what is listed. A file that vanished meanwhile may have another name now, under which it was not listed.
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

// keyNames are the names of the files that must be keys, sorted.
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
		return file{}, fmt.Errorf("%w; mend the file, or move it out of the folder", err)
	}
	return f, nil
}

// settle refuses two keys with the same ID. A raw secret may lie beside the file that takes its place: that happens in the moment in
// which it does.
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

// entries are those of files, newest first.
func entries(files map[string]file) []Entry {
	list := make([]Entry, 0, len(files))
	for _, f := range files {
		list = append(list, f.entry)
	}
	slices.SortFunc(list, newestFirst)
	return list
}

// List reads the keys of a folder, newest first. A fault of one file is the error of all.
func List(dir string) ([]Entry, error) {
	c, err := read(dir, nil)
	if err != nil {
		return nil, err
	}
	return entries(c.files), nil
}

// newSet is the set of keys, or one that holds none.
func newSet(keys []*token.Key) (*token.KeySet, error) {
	if len(keys) == 0 {
		return &token.KeySet{}, nil
	}
	return token.NewKeySet(keys...)
}
