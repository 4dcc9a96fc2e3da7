//go:build unix

package password

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"wsauth/internal/filelock"
)

// TestUpdateFileLosesNothing checks that many concurrent changes are all kept,
// whether they use the path of the file or a link to it.
func TestUpdateFileLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "users"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Symlink("users", link)); err != nil {
		t.Fatal(err)
	}
	hash, err := Parse(cheapHash(t))
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 10
	var all sync.WaitGroup
	var want []string
	for writer := range writers {
		for i := range each {
			want = append(want, fmt.Sprintf("user %d.%d", writer, i))
		}
		all.Go(func() {
			for i := range each {
				err := UpdateFile(t.Context(), []string{path, link}[writer%2], func(l *List, err error) ([]User, error) {
					if err != nil {
						return nil, err
					}
					return append(l.Users(), User{fmt.Sprintf("user %d.%d", writer, i), hash}), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	list, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range list.Users() {
		got = append(got, u.Name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d users are there, want %d", len(got), len(want))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}

// TestUpdateFileThatFails checks that a change that fails or is refused changes
// nothing.
func TestUpdateFileThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	list, err := parseList([]byte("anna:" + cheapHash(t)))
	if err := errors.Join(err, WriteFile(path, list)); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	for name, tt := range map[string]struct {
		users []User
		err   error
	}{"refused": {nil, refused}, "twice": {append(list.Users(), list.Users()...), nil}} {
		err := UpdateFile(t.Context(), path, func(*List, error) ([]User, error) { return tt.users, tt.err })
		if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unlock, err := filelock.Lock(t.Context(), path+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err = UpdateFile(ctx, path, func(*List, error) ([]User, error) { t.Error("changed without the lock"); return nil, refused })
	if unlock(); !errors.Is(err, ctx.Err()) {
		t.Errorf("locked: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("got %q, %v", after, err)
	}
	err = UpdateFile(t.Context(), path+"2", func(_ *List, err error) ([]User, error) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no file: %v", err)
		}
		return list.Users(), nil
	})
	if made, readErr := ReadFile(path + "2"); err != nil || readErr != nil || !slices.Equal(made.Users(), list.Users()) {
		t.Errorf("got %v, %v", err, readErr)
	}
}
