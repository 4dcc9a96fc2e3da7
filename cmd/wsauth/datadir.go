package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// dataDir returns the folder for application data of this user:
// $XDG_DATA_HOME, by default ~/.local/share (XDG Base Directory
// Specification), or the system's folder on macOS and Windows.
func dataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", errors.New("$XDG_DATA_HOME is not an absolute path")
		}
		return filepath.Join(dir, "wsauth"), nil
	}
	switch runtime.GOOS {
	case "darwin", "windows":
		dir, err := os.UserConfigDir()
		return filepath.Join(dir, "wsauth"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "wsauth"), err
}
