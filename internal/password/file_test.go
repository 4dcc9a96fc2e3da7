//go:build unix

package password

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestWriteFileThenReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	list, err := parseList([]byte("anna:" + cheapHash(t) + "\nbert:" + cheapHash(t)))
	if err != nil {
		t.Fatal(err)
	}
	check := func(mode os.FileMode) {
		t.Helper()
		if err := WriteFile(path, list); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(path)
		if err != nil || !slices.Equal(got.Users(), list.Users()) {
			t.Errorf("got %v, %v", got, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, want %v (%v)", info.Mode(), mode, err)
		}
	}
	check(0o600)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	check(0o640)
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
	if err := WriteFile(filepath.Join(path, "x"), list); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file was written into a file: %v", err)
	}
}

func TestS2_ReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := "anna:" + cheapHash(t)
	for _, tt := range []struct{ path, want string }{
		{file("readable", good, 0o604), "open to others (mode 0604); fix it: chmod 600 '" + dir + "/readable'"},
		{file("group", good, 0o620), "mode 0620"},
		{file("writable", good, 0o602), "mode 0602"},
		{file("bad", "anna", 0o600), "line 1: there is no colon"},
		{file("long", strings.Repeat("#\n", MaxBytes/2+1), 0o600), "longer than"},
		{dir, "not a regular file"},
		{filepath.Join(dir, "none"), "no such file"},
	} {
		if _, err := ReadFile(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(pipe); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
	if os.Geteuid() == 0 {
		path := file("foreign", good, 0o600)
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("a file of another user: %v", err)
		}
	}
}

// TestWriteFileFollowsLinks checks that a link to the user file stays a link,
// and that its target keeps its mode, owner and group.
func TestWriteFileFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o640), os.Chmod(file, 0o640), os.Symlink("users", link)); err != nil {
		t.Fatal(err)
	}
	owned := os.Getuid() == 0
	if owned {
		if err := os.Chown(file, 0, 12345); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteFile(link, &List{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); owned && (!ok || stat.Gid != 12345) {
		t.Errorf("the file has another group: %+v", stat)
	}
}
