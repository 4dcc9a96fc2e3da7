//go:build unix

package bolt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// fullEnv names the file of a child that may not make it any longer.
const fullEnv = "WSAUTH_BOLT_FULL"

// TestFullDisk: a store whose disk is full opens, is read, and refuses what it
// cannot write with an error that no answer of the contract is; an index holds
// that, and writes it once there is room. The child has a limit on the size of
// its files in the place of a full disk.
func TestFullDisk(t *testing.T) {
	path := newPath(t)
	s, err := Open(path, Options{})
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
	s = open(t, path, Options{})
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) < 3 {
		t.Errorf("%d revocations, %v", len(page.Revocations), err)
	}
	checkPages(t, s)
}

// runChild runs a test of the name in a process of its own, for a file.
func runChild(t *testing.T, name, path string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), fullEnv+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
		t.Fatalf("%v\n%.4000s", err, out)
	}
}

// fillDisk limits the files of this process to the length that the one at path
// has. The function that it returns ends that.
func fillDisk(t *testing.T, path string) (empty func()) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
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
	set(uint64(info.Size()))
	return func() { set(unlimited.Cur) }
}

// TestFullDiskChild is the child of TestFullDisk, and nothing without it.
func TestFullDiskChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	empty := fillDisk(t, path)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatalf("Open on a full disk: %v", err)
	}
	x, err := store.NewIndex(store.IndexConfig{Revocations: s})
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
	last := store.Revocation{Scope: store.Session, ID: "last", Expires: time.Now().Add(time.Hour)}
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
		t.Errorf("there is room again: %v, %d held", err, x.Held())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullDiskDamaged: where a commit fails, bbolt looks at all pages of the
// file, on a goroutine of its own. Damage there makes the store fail, and does
// not end the process.
func TestFullDiskDamaged(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, grow(t), 0o600); err != nil {
		t.Fatal(err)
	}
	runChild(t, "TestFullDiskDamagedChild", path)
}

// TestFullDiskDamagedChild is the child of TestFullDiskDamaged, and nothing
// without it.
func TestFullDiskDamagedChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(f *forest){
		"a circle": func(f *forest) {
			b := f.branches[len(f.branches)-1] // of the revocations' names
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
		s, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
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
