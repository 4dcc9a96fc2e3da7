package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// swell makes a file larger than compactSize, and nearly empty.
func swell(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	filler := []byte("filler")
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(filler)
		for n := range uint64(70) {
			err = errors.Join(err, b.Put(number(n), bytes.Repeat([]byte{1}, 1<<20)))
		}
		return err
	})
	remove := db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(tx.DeleteBucket(filler), sealAgain(tx))
	})
	if err := errors.Join(err, remove, db.Sync(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
	return info.Size()
}

// fill puts one item of each kind into a store.
func fill(t *testing.T, s *Store) {
	t.Helper()
	now := time.Now()
	err := errors.Join(
		s.Revoke(t.Context(), inAMinute("a")),
		s.PutTicket(t.Context(), store.TicketKey{1}, []byte("value"), now.Add(time.Minute)),
		s.BeginSession(t.Context(), store.Session{ID: "f", Subject: "u", Current: "c", Started: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// contents checks that the items of fill are present, and returns the cursor
// after them.
func contents(t *testing.T, s *Store) store.Cursor {
	t.Helper()
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != 1 || page.Revocations[0].ID != "a" {
		t.Errorf("revocations %v, %v", page.Revocations, err)
	}
	all, err := s.ListSessions(t.Context(), "u")
	if err != nil || len(all) != 1 || all[0].Current != "c" {
		t.Errorf("sessions %v, %v", all, err)
	}
	entries(t, s)
	return page.Next
}

// TestCompaction checks that a nearly empty file is small after it is reopened.
// It has all its contents, is locked, and continues as the same log.
func TestCompaction(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path, store.Limits{})
	fill(t, s)
	next := contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	swell(t, path)
	if n := size(t, path); n <= compactSize {
		t.Fatalf("%d bytes before", n)
	}
	if err := os.WriteFile(path+".compact", []byte("of one that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}

	s = open(t, path, store.Limits{})
	if n := size(t, path); n > compactSize/4 {
		t.Errorf("%d bytes after", n)
	}
	if _, err := os.Stat(path + ".compact"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file: %v", err)
	}
	if got := contents(t, s); got != next {
		t.Errorf("cursor %v, was %v", got, next)
	}
	if other, err := Open(path, store.Limits{}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened again: %v, %v", other, err)
	}
	if err := s.Revoke(t.Context(), inAMinute("b")); err != nil {
		t.Error(err)
	}
	if page, err := s.Read(t.Context(), next); err != nil || len(page.Revocations) != 1 || page.Revocations[0].ID != "b" {
		t.Errorf("after the cursor: %v, %v", page, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, store.Limits{})
	if value, err := s.TakeTicket(t.Context(), store.TicketKey{1}); err != nil || string(value) != "value" {
		t.Errorf("the ticket: %q, %v", value, err)
	}
}

// TestCompactionWithoutSpace checks that the old file is used if there is no
// space for a new one.
func TestCompactionWithoutSpace(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s := open(t, path, store.Limits{})
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	swell(t, path)
	if err := os.MkdirAll(filepath.Join(path+".compact", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	contents(t, open(t, path, store.Limits{}))
	if n := size(t, path); n <= compactSize {
		t.Errorf("%d bytes after", n)
	}
}
