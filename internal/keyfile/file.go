package keyfile

import (
	"fmt"
	"path/filepath"
)

// ReadFile returns the content of a file outside a folder of keys, to which symbolic links may lead, as those do that programs make which
// renew certificates. The folder in which the path begins and that in which it ends are held to what [OpenFolder] demands, and the file
// to what [Folder.Read] does.
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
