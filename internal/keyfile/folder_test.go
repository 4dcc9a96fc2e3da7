//go:build unix

package keyfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wsauth/internal/testenv"
)

const secret = "the-secret-of-this-test"

// files fills a new folder: a name that ends in a slash is a folder, and a text
// that begins with "->" is a link.
func files(t *testing.T, content ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(content); i += 2 {
		name, text := filepath.Join(dir, content[i]), content[i+1]
		var err error
		if to, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(to, name)
		} else if strings.HasSuffix(content[i], "/") {
			err = os.Mkdir(name, 0o700)
		} else {
			err = os.WriteFile(name, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, dir, name string) ([]byte, error) {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Read(name)
}

// TestFolderReads checks reads of a secret that an orchestrator mounted: it is
// a link to a link to a folder, which is replaced as a whole.
func TestFolderReads(t *testing.T) {
	dir := files(t, "..2026/", "", "..2026/a.pem", secret, "..data", "->..2026", "a.pem", "->..data/a.pem", "b.jwk", secret)
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if names, err := f.Names(); err != nil || !slices.Equal(names, []string{"..2026", "..data", "a.pem", "b.jwk"}) {
		t.Errorf("names %q, %v", names, err)
	}
	for _, name := range []string{"a.pem", "b.jwk"} {
		if data, err := f.Read(name); err != nil || string(data) != secret {
			t.Errorf("%s: got %q, %v, want %q", name, data, err, secret)
		}
	}
	if _, err := f.Read("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := OpenFolder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestS2_FolderRefuses(t *testing.T) {
	outside := files(t, "key", secret)
	for name, tt := range map[string]struct {
		content []string
		change  func(dir, path string) error
		want    string
	}{
		"readable by all":       {[]string{"key", secret}, func(_, p string) error { return os.Chmod(p, 0o644) }, "chmod 600"},
		"readable by the group": {[]string{"key", secret}, func(_, p string) error { return os.Chmod(p, 0o640) }, "chmod 600"},
		"writable by others":    {[]string{"key", secret}, func(_, p string) error { return os.Chmod(p, 0o602) }, "chmod 600"},
		"link elsewhere":        {[]string{"key", "->" + outside + "/key"}, nil, "symbolic link"},
		"relative elsewhere":    {[]string{"key", "->../" + filepath.Base(outside) + "/key"}, nil, "symbolic link"},
		"link by a folder":      {[]string{"..data", "->" + outside, "key", "->..data/key"}, nil, "symbolic link"},
		"dangling":              {[]string{"key", "->gone"}, nil, "symbolic link"},
		"link to itself":        {[]string{"key", "->key"}, nil, "symbolic link"},
		"link to an open file":  {[]string{"x", secret, "key", "->x"}, func(dir, _ string) error { return os.Chmod(dir+"/x", 0o604) }, "chmod 600"},
		"folder":                {[]string{"key/", ""}, nil, "not a regular file"},
		"pipe":                  {nil, func(_, p string) error { return syscall.Mkfifo(p, 0o600) }, "not a regular file"},
		"empty":                 {[]string{"key", ""}, nil, "is empty"},
		"too long":              {[]string{"key", strings.Repeat(secret, MaxBytes/len(secret)+1)}, nil, "longer than"},
		"folder for others":     {[]string{"key", secret}, func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "chmod go-w"},
		"no folder":             {[]string{"key", secret}, func(dir, _ string) error { return os.RemoveAll(dir) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, tt.content...)
			if tt.change != nil {
				if err := tt.change(dir, filepath.Join(dir, "key")); err != nil {
					t.Fatal(err)
				}
			}
			data, err := read(t, dir, "key")
			if err == nil || data != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %q, %v; want a refusal with %q", data, err, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q tells the secret", err)
			}
		})
	}
}

func TestS2_FolderOfOthers(t *testing.T) {
	testenv.NeedRoot(t)
	const nobody = 65534
	for name, tt := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"file":   {func(dir string) error { return os.Chown(dir+"/key", nobody, nobody) }, "belongs to another user"},
		"link":   {func(dir string) error { return os.Lchown(dir+"/link", nobody, nobody) }, "symbolic link of another user"},
		"folder": {func(dir string) error { return os.Chown(dir, nobody, nobody) }, "belongs to another user"},
		"sticky": {func(dir string) error {
			return errors.Join(os.Chmod(dir, 0o777|os.ModeSticky), os.Chown(dir, nobody, nobody))
		}, "belongs to another user"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, "key", secret, "link", "->key")
			if err := tt.change(dir); err != nil {
				t.Fatal(err)
			}
			file := "key"
			if name == "link" {
				file = name
			}
			if data, err := read(t, dir, file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v; want a refusal with %q", data, err, tt.want)
			}
		})
	}
	dir := files(t, "key", secret)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if data, err := read(t, dir, "key"); err != nil || string(data) != secret {
		t.Errorf("a folder as mounts have it: got %q, %v", data, err)
	}
}

func TestCreateAndReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := Replace(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte(secret)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created a file that exists: %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o644), Replace(path, []byte("second"))); err != nil {
		t.Fatal(err)
	}
	if data, err := read(t, dir, "key"); err != nil || !bytes.Equal(data, []byte("second")) {
		t.Errorf("got %q, %v", data, err) // mode 0600 again, otherwise it is refused
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// TestReadFile checks files as programs that renew certificates keep them: the
// files are in one folder, and links to the newest ones in another.
func TestReadFile(t *testing.T) {
	dir := files(t, "archive/", "", "archive/key1.pem", secret, "live/", "", "live/key.pem", "->../archive/key1.pem", "plain.pem", secret)
	for _, name := range []string{"live/key.pem", "plain.pem", "archive/key1.pem"} {
		if got, err := ReadFile(filepath.Join(dir, name)); err != nil || string(got) != secret {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, secret)
		}
	}
	wantRefused := func(what, name, want string) {
		t.Helper()
		if got, err := ReadFile(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", what, got, err, want)
		}
	}
	wantRefused("nothing there", "none.pem", "no such file")
	if err := os.Chmod(filepath.Join(dir, "archive/key1.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantRefused("S2: a link to a file that is open to others", "live/key.pem", "open to others")
	if err := errors.Join(os.Chmod(filepath.Join(dir, "archive/key1.pem"), 0o600), os.Chmod(filepath.Join(dir, "archive"), 0o777)); err != nil {
		t.Fatal(err)
	}
	wantRefused("a link into a folder that others may write to", "live/key.pem", "may write to the folder")
	if err := errors.Join(os.Chmod(filepath.Join(dir, "archive"), 0o700), os.Chmod(filepath.Join(dir, "live"), 0o777)); err != nil {
		t.Fatal(err)
	}
	wantRefused("a link in such a folder", "live/key.pem", "may write to the folder")
}
