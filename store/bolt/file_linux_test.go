package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"wsauth/store"
)

// TestOpenWaitsForTheName checks that if another file takes the name of a file
// while Open waits for the lock, as in a compaction, Open opens the file that
// has the name.
func TestOpenWaitsForTheName(t *testing.T) {
	path, other := newPath(t), newPath(t)
	s := open(t, other, store.Limits{})
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	first := open(t, path, store.Limits{})

	type result struct {
		s   *Store
		err error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := Open(path, store.Limits{})
		opened <- result{s, err}
	}()
	for deadline := time.Now().Add(lockTimeout); descriptors(t, path) < 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("Open does not wait")
		}
	}
	if err := errors.Join(os.Rename(other, path), first.Close()); err != nil {
		t.Fatal(err)
	}
	got := <-opened
	if got.err != nil {
		t.Fatal(got.err)
	}
	contents(t, got.s)
	if err := got.s.Close(); err != nil {
		t.Error(err)
	}
}

// descriptors returns the number of descriptors of this process for a file.
func descriptors(t *testing.T, path string) int {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range all {
		if target, err := os.Readlink(fd); err == nil && target == path {
			n++
		}
	}
	return n
}
