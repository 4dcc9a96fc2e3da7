package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"wsauth/internal/keyfile"
)

// ErrChanged means that another program has changed the folder.
var ErrChanged = errors.New("keyring: the folder has changed")

// ReadFiles returns the contents of the key files of a folder, by name. Like
// [List], it fails if any file is not usable. The contents include private
// keys.
func ReadFiles(dir string) (map[string][]byte, error) {
	c, err := read(dir, nil)
	if err != nil {
		return nil, err
	}
	return contentsOf(dir, c)
}

// contentsOf reads the usable files of c again, and returns their contents.
func contentsOf(dir string, c contents) (map[string][]byte, error) {
	folder, err := keyfile.OpenFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	defer folder.Close()
	files := make(map[string][]byte, len(c.files))
	for name, f := range c.files {
		data, err := folder.Read(name)
		if err != nil {
			return nil, fmt.Errorf("keyring: %w", err)
		}
		if sha256.Sum256(data) != f.data {
			return nil, ErrChanged
		}
		files[name] = data
	}
	return files, nil
}

// ReplaceFiles writes and deletes key files until the folder has the contents
// of after. It creates the folder if necessary. If the contents are not those
// of before, it returns [ErrChanged] and changes nothing. If a file of after
// is not usable, it returns an error and changes nothing either.
func ReplaceFiles(ctx context.Context, dir string, before, after map[string][]byte) error {
	if err := CheckFiles(dir, after); err != nil {
		return err
	}
	return change(ctx, dir, true, func([]Entry) error {
		current, err := ReadFiles(dir)
		if err != nil {
			return err
		}
		if !maps.EqualFunc(current, before, bytes.Equal) {
			return ErrChanged
		}
		// A key that replaces another is written before that one is deleted.
		for name, data := range after {
			if old, ok := before[name]; ok && bytes.Equal(old, data) {
				continue
			}
			if err := keyfile.Replace(filepath.Join(dir, name), data); err != nil {
				return fmt.Errorf("keyring: %w", err)
			}
		}
		for name := range before {
			if _, kept := after[name]; kept {
				continue
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("keyring: %w", err)
			}
		}
		return nil
	})
}

// CheckFiles returns an error if dir would not be usable with these files, each
// by its name.
func CheckFiles(dir string, files map[string][]byte) error {
	c := contents{files: make(map[string]file, len(files))}
	if len(files) > maxKeys {
		return fmt.Errorf("keyring: %d are more than %d keys", len(files), maxKeys)
	}
	for name, data := range files {
		if !isKey(name) || filepath.Base(name) != name {
			return fmt.Errorf("keyring: %q is not the name of a key file", name)
		}
		e, err := Parse(name, data)
		if err != nil {
			return fmt.Errorf("keyring: %s: %w", name, err)
		}
		c.files[name], c.names = file{entry: e}, append(c.names, name)
	}
	return c.settle(dir)
}
