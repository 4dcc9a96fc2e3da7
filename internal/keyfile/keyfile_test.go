//go:build unix

package keyfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const secret = "the-secret-of-this-test"

func generate() ([]byte, error) { return []byte(secret), nil }

// folder is a folder as a user would have it: closed to others.
func folder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}

func TestFirstCallCreatesAndLaterCallsLoad(t *testing.T) {
	path := filepath.Join(folder(t), "deeper", "key.jwk")
	data, created, err := LoadOrCreate(path, generate)
	if err != nil || !created || string(data) != secret {
		t.Fatalf("first call: %q, created %v, %v", data, created, err)
	}
	data, created, err = LoadOrCreate(path, func() ([]byte, error) {
		t.Error("generate was called although the file is there")
		return nil, errors.New("called")
	})
	if err != nil || created || string(data) != secret {
		t.Fatalf("second call: %q, created %v, %v", data, created, err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s is %04o, want %04o", name, got, want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("the folder holds %d files, want the key alone: %v", len(entries), entries)
	}
}

func TestS2_Refused(t *testing.T) {
	write := func(t *testing.T, path string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	mode := func(m os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) { write(t, path, m) }
	}
	tests := []struct {
		name  string
		setup func(t *testing.T, path string)
		want  string // must be in the error
	}{
		{"readable by all", mode(0o644), "chmod 600"},
		{"readable by the group", mode(0o640), "chmod 600"},
		{"writable by others", mode(0o602), "chmod 600"},
		{"symbolic link", func(t *testing.T, path string) {
			write(t, path+".real", 0o600)
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}, "symbolic link"},
		{"dangling symbolic link", func(t *testing.T, path string) {
			if err := os.Symlink(path+".gone", path); err != nil {
				t.Fatal(err)
			}
		}, "symbolic link"},
		{"folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"pipe without a writer", func(t *testing.T, path string) {
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"empty", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is empty"},
		{"too long", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte(secret), MaxBytes/len(secret)+1), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "longer than"},
		{"folder that others may write to", func(t *testing.T, path string) {
			if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
		}, "chmod go-w"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(folder(t), "it's a key.jwk")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			tt.setup(t, path)
			data, created, err := LoadOrCreate(path, generate)
			if err == nil || data != nil || created {
				t.Fatalf("got %q, created %v, %v; want a refusal", data, created, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q tells the secret", err)
			}
			command := strings.Contains(err.Error(), quote(path)) || strings.Contains(err.Error(), quote(filepath.Dir(path)))
			if strings.Contains(tt.want, "chmod") && !command {
				t.Errorf("error %q does not name the path as a shell takes it", err)
			}
		})
	}
}

func TestS2_OtherOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("WSAUTH_TEST_ALL") == "1" {
			t.Fatal("needs root to give a file to another user")
		}
		t.Skip("needs root to give a file to another user")
	}
	path := filepath.Join(folder(t), "key.jwk")
	if _, _, err := LoadOrCreate(path, generate); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadOrCreate(path, generate); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Fatalf("got %v, want a refusal that names the owner", err)
	}
}

func TestParallelFirstStartsAgree(t *testing.T) {
	for range 50 {
		path := filepath.Join(folder(t), "key.jwk")
		var (
			wg      sync.WaitGroup
			results [16][]byte
			creator [16]bool
		)
		for i := range results {
			wg.Go(func() {
				var err error
				results[i], creator[i], err = LoadOrCreate(path, func() ([]byte, error) {
					return []byte(strings.Repeat(rand.Text(), 100)), nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		created := 0
		for i, r := range results {
			if len(r) == 0 || !bytes.Equal(r, results[0]) {
				t.Fatalf("call %d got another key", i)
			}
			if creator[i] {
				created++
			}
		}
		if created != 1 {
			t.Fatalf("%d calls say that they created the key, want 1", created)
		}
	}
}

func TestGenerateFails(t *testing.T) {
	path := filepath.Join(folder(t), "key.jwk")
	boom := errors.New("boom")
	if _, _, err := LoadOrCreate(path, func() ([]byte, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Fatalf("got %v, want it to wrap the cause", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file was left behind: %v", err)
	}
}
