package server

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wsauth/internal/config"
	"wsauth/store"
	"wsauth/store/bolt"
)

// TestRecordWithoutKeyFolder checks that if the key folder cannot be written
// to, as with a mounted secret, the position of the log is recorded in the data
// folder.
func TestRecordWithoutKeyFolder(t *testing.T) {
	type folders struct{ keys, data string }
	open := func(t *testing.T, in folders) *bolt.Store {
		t.Helper()
		s, err := openStore(in.data, config.Default().Store, in.keys, false)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	run := func(t *testing.T, in folders, revoke string) (lost bool) {
		t.Helper()
		s := open(t, in)
		r := &recorder{files: newRecordFiles(in.keys, in.data), revocations: s, log: slog.New(slog.DiscardHandler)}
		lost, err := r.checkLost(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if revoke != "" {
			if err := s.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: revoke, Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		r.run(t.Context())()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		check, err := checkStore(in.data, r.files)
		if err != nil || check.State != StoreOK || check.Lost {
			t.Errorf("data check: %+v, %v", check, err)
		}
		return lost
	}
	keep := func(t *testing.T, file string) (putBack func()) {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, stale := range map[string]string{"no record in the key folder": "", "a record of another store in the key folder": "ANOTHERSTORE 7\n"} {
		t.Run(name, func(t *testing.T) {
			in := folders{filepath.Join(t.TempDir(), "keys"), t.TempDir()} // no file can be created in a missing folder
			db, record := filepath.Join(in.data, storeName), filepath.Join(in.data, recordName)
			run := run
			if stored := filepath.Join(t.TempDir(), recordName); stale != "" {
				// The test may run as root, who can write to any key folder. So
				// the file is moved to where it would otherwise be written.
				in.keys = filepath.Dir(stored)
				writable := run
				run = func(t *testing.T, in folders, revoke string) bool {
					if err := os.WriteFile(stored, []byte(stale), 0o600); err != nil {
						t.Fatal(err)
					}
					lost := writable(t, in, revoke)
					if text, err := os.ReadFile(stored); err != nil || string(text) == stale {
						return lost // nothing was written
					}
					if err := os.Rename(stored, record); err != nil {
						t.Fatal(err)
					}
					return lost
				}
			}
			if lost := run(t, in, "a"); lost != (stale != "") {
				t.Errorf("a first start: lost %t", lost)
			}
			if run(t, in, "") || !exists(record) {
				t.Error("the same store is treated as another one")
			}
			older := keep(t, db)
			if run(t, in, "b") {
				t.Error("a store that has grown is treated as another one")
			}
			older()
			if !run(t, in, "c") || run(t, in, "") {
				t.Error("an older copy is not detected, or twice")
			}
			if err := os.Remove(db); err != nil {
				t.Fatal(err)
			}
			if !run(t, in, "d") || run(t, in, "") {
				t.Error("a removed store is not detected, or twice")
			}
		})
	}
	t.Run("the key folder is back", func(t *testing.T) {
		in := folders{filepath.Join(t.TempDir(), "keys"), t.TempDir()}
		run(t, in, "a")
		if err := os.Mkdir(in.keys, 0o700); err != nil {
			t.Fatal(err)
		}
		if run(t, in, "b") || exists(filepath.Join(in.data, recordName)) || !exists(filepath.Join(in.keys, recordName)) {
			t.Error("the record is not back in the key folder")
		}
		if err := os.Remove(filepath.Join(in.data, storeName)); err != nil {
			t.Fatal(err)
		}
		if !run(t, in, "") {
			t.Error("a removed store is not detected")
		}
	})
}

// A replicatedLog is a log without entries whose history can change.
type replicatedLog struct {
	store.Revocations
	end store.Cursor
}

func (l *replicatedLog) Read(_ context.Context, after store.Cursor) (store.Page, error) {
	if after != (store.Cursor{}) && (after.Epoch != l.end.Epoch || after.Sequence > l.end.Sequence) {
		return store.Page{}, store.ErrCursor
	}
	return store.Page{Next: l.end, End: true}, nil
}

// TestRecordAfterFailover checks that another history of the same log is not a
// loss, neither at the start nor while the server runs. Another log and an
// older copy of the same history are losses.
func TestRecordAfterFailover(t *testing.T) {
	files := newRecordFiles(t.TempDir(), t.TempDir())
	run := func(end ...store.Cursor) (lost bool) {
		t.Helper()
		log := &replicatedLog{end: end[0]}
		r := &recorder{files: files, revocations: log, log: slog.New(slog.DiscardHandler)}
		lost, err := r.checkLost(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, log.end = range end {
			if err := r.record(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return lost
	}
	if run(store.Cursor{Epoch: "a.1", Sequence: 7}, store.Cursor{Epoch: "a.2", Sequence: 5}) {
		t.Error("the first start is a loss")
	}
	if run(store.Cursor{Epoch: "a.2", Sequence: 6}) {
		t.Error("the same history is a loss")
	}
	if run(store.Cursor{Epoch: "a.3", Sequence: 1}) {
		t.Error("another history is a loss")
	}
	if !run(store.Cursor{Epoch: "b.3", Sequence: 2}) {
		t.Error("another log is not detected")
	}
	if !run(store.Cursor{Epoch: "b.3", Sequence: 1}) {
		t.Error("an older copy is not detected")
	}
}
