//go:build unix

package bolt

import (
	"errors"
	"fmt"
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
	cmd := exec.Command(os.Args[0], "-test.run", "TestFullDiskChild", "-test.v")
	cmd.Env = append(os.Environ(), fullEnv+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDiskChild") {
		t.Fatalf("%v\n%s", err, out)
	}
	s = open(t, path, Options{})
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) < 3 {
		t.Errorf("%d revocations, %v", len(page.Revocations), err)
	}
	checkPages(t, s)
}

// TestFullDiskChild is the child of TestFullDisk, and nothing without it.
func TestFullDiskChild(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	full := syscall.Rlimit{Cur: uint64(info.Size()), Max: unlimited.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
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
	full.Cur = unlimited.Cur
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(t.Context()); err != nil || x.Held() != 0 {
		t.Errorf("there is room again: %v, %d held", err, x.Held())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
