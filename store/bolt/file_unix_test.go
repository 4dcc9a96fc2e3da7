//go:build unix

package bolt

import (
	"errors"
	"os"
	"strings"
	"testing"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// TestS2Refused checks that a file that is not private, not regular or missing
// is refused and left unchanged, and that the error says how to fix it.
func TestS2Refused(t *testing.T) {
	mode := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		change func(t *testing.T, path string)
		want   string
	}{
		"readable by all":     {mode(0o644), "chmod 600 '"},
		"readable by a group": {mode(0o640), "chmod 600 '"},
		"writable by others":  {mode(0o602), "chmod 600 '"},
		"symbolic link":       {func(t *testing.T, path string) { move(t, path); link(t, path+".real", path) }, "symbolic link"},
		"dangling link":       {func(t *testing.T, path string) { move(t, path); link(t, path+".gone", path) }, "symbolic link"},
		"directory":           {func(t *testing.T, path string) { move(t, path); directory(t, path) }, "directory"},
		"of another user":     {disown, "another user"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			if err := open(t, path, store.Limits{}).Close(); err != nil {
				t.Fatal(err)
			}
			tt.change(t, path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, store.Limits{})
			if err == nil {
				t.Fatal(errors.Join(errors.New("opened"), s.Close()))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if after, err := os.Lstat(path); err != nil || after.Mode() != before.Mode() || after.Size() != before.Size() {
				t.Errorf("it was %v and is %v, %v", before, after, err)
			}
		})
	}
}

func move(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+".real"); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func directory(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func disown(t *testing.T, path string) {
	t.Helper()
	testenv.NeedRoot(t)
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}
