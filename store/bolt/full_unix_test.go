//go:build unix

package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/token"
)

// fullEnv is the environment variable with the name of the file that a child
// must not extend.
const fullEnv = "WSAUTH_BOLT_FULL"

// TestFullDisk checks that a store on a full disk can be opened and read, and
// refuses writes with an error that the contract does not define. An index
// keeps the refused revocations, and writes them once there is room. A limit on
// the size of the child's files simulates the full disk.
func TestFullDisk(t *testing.T) {
	path := newPath(t)
	s, err := Open(path, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), inAMinute("before")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	runChild(t, "TestFullDiskChild", path)
	s = open(t, path, store.Limits{})
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) < 3 {
		t.Errorf("%d revocations, %v", len(page.Revocations), err)
	}
	checkPages(t, s)
}

// runChild runs the named test in a child process, for a file.
func runChild(t *testing.T, name, path string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), fullEnv+"="+path, atExit)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
		t.Fatalf("%v\n%.4000s", err, out)
	}
}

// fillDisk limits the files of this process to the length of the file at path.
// The returned function removes the limit.
func fillDisk(t *testing.T, path string) (empty func()) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return limitFiles(t, info.Size())
}

// limitFiles limits the length of the files that this process writes.
func limitFiles(t *testing.T, length int64) (end func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	set := func(limit uint64) {
		t.Helper()
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: unlimited.Max}); err != nil {
			t.Fatal(err)
		}
	}
	set(uint64(length))
	return func() { set(unlimited.Cur) }
}

// TestFullDiskChild runs in the child process of TestFullDisk. Otherwise it
// does nothing.
func TestFullDiskChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	empty := fillDisk(t, path)
	s, err := Open(path, store.Limits{})
	if err != nil {
		t.Fatalf("Open on a full disk: %v", err)
	}
	x, err := revindex.New(revindex.Config{Log: s})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 200)
	var failure error
	for i := 0; i < 10_000 && failure == nil; i++ {
		failure = x.Revoke(t.Context(), inAMinute(fmt.Sprint(i, long)))
	}
	if !errors.Is(failure, store.ErrNotDurable) || refused(failure) {
		t.Fatalf("a full disk: %v", failure)
	}
	last := store.Revocation{Target: store.TargetSession, ID: "last", Expires: time.Now().Add(time.Hour)}
	if err := x.Revoke(t.Context(), last); err != nil && !errors.Is(err, store.ErrNotDurable) {
		t.Errorf("the next one: %v", err)
	}
	if !x.Revoked(&token.Claims{SessionID: "last"}) {
		t.Error("not revoked on this node")
	}
	if _, err := s.Read(t.Context(), store.Cursor{}); err != nil {
		t.Errorf("Read on a full disk: %v", err)
	}
	empty()
	if err := x.Flush(t.Context()); err != nil || x.Held() != 0 {
		t.Errorf("with room again: %v, %d held", err, x.Held())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullDiskDamaged checks that if a commit to a damaged file fails, the
// store fails but the process does not crash. After a failed commit, bbolt
// reads all pages of the file on another goroutine.
func TestFullDiskDamaged(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, grow(t), 0o600); err != nil {
		t.Fatal(err)
	}
	runChild(t, "TestFullDiskDamagedChild", path)
}

// TestFullDiskDamagedChild runs in the child process of TestFullDiskDamaged.
// Otherwise it does nothing.
func TestFullDiskDamagedChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	synctest.Test(t, func(t *testing.T) { testFullDiskDamaged(t, path) }) // so that the first sweep has ended
}

func testFullDiskDamaged(t *testing.T, path string) {
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(f *forest){
		"a circle": func(f *forest) {
			b := f.branches[len(f.branches)-1] // of the names of revocations
			native.PutUint64(f.page(b.number)[pageHead+8:], uint64(b.number))
		},
		"a leaf of noise": func(f *forest) {
			fillRandom(rand.New(rand.NewPCG(1, 1)), f.page(f.leaves[len(f.leaves)-1].number)) //nolint:gosec // to be repeated
		},
		"a leaf that is another": func(f *forest) {
			native.PutUint64(f.page(f.leaves[len(f.leaves)-1].number), 7)
		},
	} {
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, store.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		f := readForest(t, path)
		damage(f)
		overwrite(t, path, f.image)
		empty := fillDisk(t, path)
		var failure error
		for n := 0; n < 10_000 && failure == nil; n++ {
			failure = s.PutTicket(t.Context(), store.TicketKey{byte(n), byte(n >> 8)}, make([]byte, store.MaxTicketValue), time.Now().Add(time.Hour))
		}
		sentence(t, name, 0, failure)
		if _, err := s.Read(t.Context(), store.Cursor{}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: Read: %v", name, err)
		}
		empty()
		if err := s.Close(); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

// TestFullDiskAtTheStart checks that a file can be opened on a full disk. A
// file in an old format cannot be upgraded then. It can be read, and it can be
// written once there is room.
func TestFullDiskAtTheStart(t *testing.T) {
	for format, downgrade := range map[int]func(*bbolt.Tx) error{1: strip, 2: unname, 3: nil} {
		t.Run(fmt.Sprint("format=", format), func(t *testing.T) {
			h := live(t)
			path := newPath(t)
			if err := os.WriteFile(path, h.now(), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openAhead(t, path) // the system clock is set back afterwards
			err := s.PutTicket(t.Context(), store.TicketKey{1}, []byte("value"), time.Now().Add(30*time.Minute))
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
			if downgrade != nil {
				edit(t, path, downgrade)
			}
			runChild(t, "TestFullDiskAtTheStartChild", path)
			report, err := Check(path)
			if err != nil || report.Format != 3 {
				t.Errorf("%+v, %v", report, err)
			}
			s = open(t, path, store.Limits{})
			if lost := h.forgotten(t.Context(), s); len(lost) > 0 {
				t.Errorf("%d lost, such as %s", len(lost), lost[0])
			}
			entries(t, s)
		})
	}
}

// TestFullDiskAtTheStartChild runs in the child process of
// TestFullDiskAtTheStart. Otherwise it does nothing.
func TestFullDiskAtTheStartChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	before, err := Check(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		empty := limitFiles(t, 2*testPage) // only the first pages can be written
		s, err := Open(path, store.Limits{})
		if err != nil {
			t.Fatalf("Open on a full disk: %v", err)
		}
		defer s.Close()
		x, err := revindex.New(revindex.Config{Log: s})
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(t.Context())
		defer stop()
		go x.Run(running) //nolint:errcheck // until stop
		<-x.Ready()
		for _, sid := range []string{"last-0", "session3-7-xxxxxxx"} {
			if !x.Revoked(&token.Claims{SessionID: sid}) {
				t.Errorf("%s is valid again", sid)
			}
		}
		if usage, err := s.RevocationUsage(t.Context()); err != nil || !usage.ReadOnly || usage.Entries+1 != before.Revocations {
			t.Errorf("usage %+v, %v, of %+v", usage, err, before)
		}
		if all, err := s.ListSessions(t.Context(), "user-1"); err != nil || len(all) == 0 {
			t.Errorf("sessions %v, %v", all, err)
		}
		if value, err := s.TakeTicket(t.Context(), store.TicketKey{1}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the ticket from before the clock was set back: %q, %v", value, err)
		}
		err = s.PutTicket(t.Context(), store.TicketKey{2}, []byte("value"), time.Now().Add(time.Minute))
		if err == nil || refused(err) || errors.Is(err, ErrDamaged) {
			t.Errorf("a ticket on a full disk: %v", err)
		}
		err = x.Revoke(t.Context(), inAMinute("new"))
		if !errors.Is(err, store.ErrNotDurable) || !x.Revoked(&token.Claims{ID: "new"}) {
			t.Errorf("Revoke on a full disk: %v, revoked %v", err, x.Revoked(&token.Claims{ID: "new"}))
		}
		empty()
		time.Sleep(2 * time.Minute) // the index tries again
		if usage, err := s.RevocationUsage(t.Context()); err != nil || usage.ReadOnly || x.Held() != 0 {
			t.Errorf("with room again: usage %+v, %v, %d held", usage, err, x.Held())
		}
		if err := s.PutTicket(t.Context(), store.TicketKey{2}, []byte("value"), time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if page, err := s.Read(t.Context(), before.Next); err != nil || len(page.Revocations) != 1 {
			t.Errorf("after the earlier cursor: %v, %v", page.Revocations, err)
		}
	})
}

// TestFullDiskOldDamaged checks that an upgrade that a full disk has delayed
// does not give valid checksums to records that were damaged in the meantime.
func TestFullDiskOldDamaged(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, grow(t), 0o600); err != nil {
		t.Fatal(err)
	}
	edit(t, path, strip)
	runChild(t, "TestFullDiskOldDamagedChild", path)
	if report, err := Check(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestFullDiskOldDamagedChild runs in the child process of
// TestFullDiskOldDamaged. Otherwise it does nothing.
func TestFullDiskOldDamagedChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		end := limitFiles(t, 2*testPage)
		s, err := Open(path, store.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Revoke(t.Context(), inAMinute("new")); err == nil || errors.Is(err, ErrDamaged) {
			t.Errorf("on a full disk: %v", err)
		}
		end()
		synctest.Wait()
		f := readForest(t, path)
		id := []byte("0007-1-xxx")
		for _, leaf := range f.leaves {
			if at := bytes.Index(f.page(leaf.number), id); at >= 0 {
				f.page(leaf.number)[at]++
				break
			}
		}
		overwrite(t, path, f.image)
		time.Sleep(2 * time.Minute)
		for range 2 {
			err := s.Revoke(t.Context(), inAMinute("new"))
			sentence(t, "old", 0, err)
		}
	})
}
