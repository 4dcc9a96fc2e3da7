package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"wsauth/store"
)

// Records tests an implementation of [store.Records].
func Records[S store.Records](t *testing.T, c Config[S]) {
	on := func(body func(*testing.T, []store.Records)) func(*testing.T, S) {
		return func(t *testing.T, s S) {
			var nodes []store.Records
			for _, node := range c.nodes(t, s) {
				nodes = append(nodes, node)
			}
			body(t, nodes)
		}
	}
	c.each(t, map[string]func(*testing.T, S){
		"versions":     on(testVersions),
		"values":       on(testRecordValues),
		"invalid":      on(testRecordInvalid),
		"cancellation": on(testRecordCancellation),
		"race":         on(testRecordRace),
	})
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){"restart": func(t *testing.T, s S) {
			write(t, s, "a", 1, "1")
			write(t, s, "a", 2, "2")
			s = c.Reopen(t, s)
			wantConflict(t, s, "a", 2)
			write(t, s, "a", 3, "3")
			wantRecord(t, []store.Records{s}, "a", 3, "3")
		}})
	}
}

func write(t *testing.T, s store.Records, name string, version uint64, value string) {
	t.Helper()
	if err := s.WriteRecord(t.Context(), name, store.Record{Version: version, Value: []byte(value)}); err != nil {
		t.Fatalf("WriteRecord %s, version %d: %v", name, version, err)
	}
}

// wantConflict asserts that writing a version of a record fails with
// ErrConflict.
func wantConflict(t *testing.T, s store.Records, name string, version uint64) {
	t.Helper()
	if err := s.WriteRecord(t.Context(), name, store.Record{Version: version, Value: []byte("wrong")}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("WriteRecord %s, version %d: %v, want ErrConflict", name, version, err)
	}
}

// wantRecord asserts which record all nodes have.
func wantRecord(t *testing.T, nodes []store.Records, name string, version uint64, value string) {
	t.Helper()
	for _, s := range nodes {
		if r, err := s.ReadRecord(t.Context(), name); err != nil || r.Version != version || string(r.Value) != value {
			t.Errorf("ReadRecord %s: version %d, %.40q, %v\nwant version %d, %.40q", name, r.Version, r.Value, err, version, value)
		}
	}
}

// wantNoRecord asserts that no node has a record.
func wantNoRecord(t *testing.T, nodes []store.Records, name string) {
	t.Helper()
	for _, s := range nodes {
		if r, err := s.ReadRecord(t.Context(), name); !errors.Is(err, store.ErrNotFound) || r.Version != 0 || r.Value != nil {
			t.Errorf("ReadRecord %s: %v, %v, want ErrNotFound", name, r, err)
		}
	}
}

// testVersions checks that only the next version is accepted.
func testVersions(t *testing.T, nodes []store.Records) {
	wantNoRecord(t, nodes, "a")
	wantConflict(t, nodes[1], "a", 2)
	wantNoRecord(t, nodes, "a")
	write(t, nodes[0], "other", 1, "other")
	for version := uint64(1); version < 10; version++ {
		value := fmt.Sprint("value ", version)
		write(t, nodes[version%3], "a", version, value)
		for _, wrong := range []uint64{1, version, version + 2} {
			wantConflict(t, nodes[(version+1)%3], "a", wrong)
		}
		wantRecord(t, nodes, "a", version, value)
	}
	wantRecord(t, nodes, "other", 1, "other")
}

// testRecordValues checks that a value of any bytes is returned unchanged, even
// if the caller of WriteRecord later modifies its slice.
func testRecordValues(t *testing.T, nodes []store.Records) {
	longest := strings.Repeat("\u00fc", 32)
	for version, value := range []string{"", "\x00\xff\n\r\"", string(bytes.Repeat([]byte{'x'}, store.MaxRecordValue)), ""} {
		write(t, nodes[0], longest, uint64(version+1), value)
		wantRecord(t, nodes, longest, uint64(version+1), value)
	}
	value := []byte("value")
	if err := nodes[0].WriteRecord(t.Context(), "copied", store.Record{Version: 1, Value: value}); err != nil {
		t.Fatal(err)
	}
	copy(value, "other")
	wantRecord(t, nodes, "copied", 1, "value")
}

func testRecordInvalid(t *testing.T, nodes []store.Records) {
	for name, tt := range map[string]struct {
		name   string
		record store.Record
	}{
		"no name":    {"", store.Record{Version: 1}},
		"long name":  {strings.Repeat("n", 65), store.Record{Version: 1}},
		"long value": {"a", store.Record{Version: 1, Value: make([]byte, store.MaxRecordValue+1)}},
		"no version": {"a", store.Record{}},
	} {
		if err := nodes[0].WriteRecord(t.Context(), tt.name, tt.record); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	for _, name := range []string{"", "a", strings.Repeat("n", 10_000)} {
		wantNoRecord(t, nodes, name)
	}
}

func testRecordCancellation(t *testing.T, nodes []store.Records) {
	for range 100 {
		if err := nodes[0].WriteRecord(canceled(t), "a", store.Record{Version: 1}); !errors.Is(err, context.Canceled) {
			t.Fatalf("WriteRecord: %v", err)
		}
		if _, err := nodes[0].ReadRecord(canceled(t), "a"); !errors.Is(err, context.Canceled) {
			t.Fatalf("ReadRecord: %v", err)
		}
	}
	wantNoRecord(t, nodes, "a")
}

// testRecordRace checks that of 100 calls on three nodes that write the same
// version, one succeeds, and that its value is stored.
func testRecordRace(t *testing.T, nodes []store.Records) {
	for version := uint64(1); version <= 5; version++ {
		var mu sync.Mutex
		var winners []string
		var wg sync.WaitGroup
		for call := range 100 {
			wg.Go(func() {
				value := fmt.Sprint(call)
				err := nodes[call%3].WriteRecord(t.Context(), "a", store.Record{Version: version, Value: []byte(value)})
				switch {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, value)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("WriteRecord: %v", err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("version %d has %d winners", version, len(winners))
		}
		wantRecord(t, nodes, "a", version, winners[0])
	}
}
