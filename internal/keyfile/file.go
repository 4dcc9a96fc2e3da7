package keyfile

import (
	"fmt"
	"path/filepath"
)

// ReadFile reads a file outside a folder of keys. Symbolic links may lead to
// it, as programs that renew certificates create them. The folders of path and
// of the target must satisfy [OpenFolder], and the file [Folder.Read].
func ReadFile(path string) ([]byte, error) {
	named, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := named.Close(); err != nil {
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
