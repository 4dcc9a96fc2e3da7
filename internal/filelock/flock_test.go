//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filelock

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLockRefusesOtherFiles checks that a file that is not a lock stays
// unchanged.
func TestLockRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nothing", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "is not an empty file", link: "symbolic link", dir: "directory"} {
		if _, err := Lock(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "text" {
		t.Errorf("got %q, %v, want %q", text, err, "text")
	}
}

const childEnv = "FILELOCK_TEST_CHILD"

// TestLockOfAKilledProgram checks that the lock of a killed program is free at
// once, although its file still exists.
func TestLockOfAKilledProgram(t *testing.T) {
	if path := os.Getenv(childEnv); path != "" {
		mustLock(t, path)
		if _, err := os.Stdout.WriteString("locked"); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	path := filepath.Join(t.TempDir(), "lock")
	child := exec.Command(os.Args[0], "-test.run=^TestLockOfAKilledProgram$")
	child.Env = append(os.Environ(), childEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	output := make([]byte, len("locked"))
	_, readErr := out.Read(output)
	_, tryErr := try(path)
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := child.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	if readErr != nil || string(output) != "locked" || !errors.Is(tryErr, ErrHeld) {
		t.Errorf("printed %q, %v; while the program runs: %v", output, readErr, tryErr)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	unlock, err := try(path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
