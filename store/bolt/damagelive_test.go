package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
)

// TestDamagedWhileOpen checks that damage to an open file leads to errors and
// never to a panic. Until the store finds the damage, each call returns a
// correct result or an error. After that, all calls return errors. When the
// file is opened again, the damage is found or has had no effect.
func TestDamagedWhileOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testDamagedWhileOpen) // so that the first sweep has ended
}

func testDamagedWhileOpen(t *testing.T) {
	h := live(t)
	kinds := damageKinds()
	// An old page is valid, so it is found only when the file is opened again.
	stale := func(kind string) bool { return strings.Contains(kind, "lost") || strings.Contains(kind, "old") }
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		found, unnoticed := 0, 0
		for n := range (damagesOfAKind() + 2) / 3 {
			r := rand.New(rand.NewPCG(uint64(n), uint64(len(kind)))) //nolint:gosec // seeded, to be repeated
			path := newPath(t)
			if err := os.WriteFile(path, h.now(), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, store.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s.db.bolt.NoSync = true // this test needs no durability
			image, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, path, kinds[kind](r, h, image))
			// A server keeps earlier revocations in memory, so they are not
			// checked here.
			if back := h.back(t.Context(), s); len(back) > 0 && !stale(kind) {
				t.Errorf("%s %d: %d valid again while it is open, such as %s", kind, n, len(back), back[0])
			}
			failed := useAll(t, kind, n, h, s)
			if err := s.Close(); err != nil {
				t.Errorf("%s %d: Close: %v", kind, n, err)
			}
			s, err = Open(path, store.Limits{})
			if err != nil {
				sentence(t, kind, n, err)
				found++
				continue
			}
			if failed {
				found++
			} else {
				unnoticed++
			}
			if lost := h.forgotten(t.Context(), s); len(lost) > 0 {
				t.Errorf("%s %d: %d lost, such as %s", kind, n, len(lost), lost[0])
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s %d: Close: %v", kind, n, err)
			}
		}
		t.Logf("%-36s %4d found, %4d did nothing", kind, found, unnoticed)
		if found+unnoticed == 0 {
			t.Errorf("%s was never tried", kind)
		}
	}
}

// TestFirstPages checks that a store with one damaged meta page fails instead
// of going back by one commit. A bbolt file begins with two meta pages, for the
// last commit and the one before, and bbolt uses the valid one.
func TestFirstPages(t *testing.T) {
	for name, change := range map[string]func(newer, older []byte){
		"newer damaged": func(newer, _ []byte) { newer[pageHead+48] ^= 1 },
		"newer zeroed":  func(newer, _ []byte) { clear(newer) },
		"newer as older": func(newer, older []byte) {
			number := native.Uint64(newer)
			copy(newer, older)
			native.PutUint64(newer, number)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := newPath(t)
				s, err := Open(path, store.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				fill(t, s)
				synctest.Wait()
				image, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				pages := [][]byte{image[:testPage], image[testPage : 2*testPage]}
				newer := s.db.committed.Load() % 2
				change(pages[newer], pages[1-newer])
				overwrite(t, path, image)
				if page, err := s.Read(t.Context(), store.Cursor{}); !errors.Is(err, ErrDamaged) {
					t.Errorf("open: %v, %v", page, err)
				}
				if err := s.Revoke(t.Context(), inAMinute("b")); !errors.Is(err, ErrDamaged) {
					t.Errorf("Revoke: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if report, err := Check(path); !errors.Is(err, ErrDamaged) {
					t.Errorf("Check: %+v, %v", report, err)
				}
			})
		})
	}
}

// overwrite writes an image into a file that is open and mapped. It does not
// shorten the file; see TestCutOffWhileOpen.
func overwrite(t *testing.T, path string, image []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(image, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// useAll calls every method of a store, some of them twice. It checks that
// errors are those of the contract or about the damage, and that every call
// fails once the store has found the damage.
func useAll(t *testing.T, kind string, n int, h *history, s *Store) (failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	end := time.Now().Add(time.Hour)
	var alive []string
	for id, token := range h.current {
		if token != "" {
			alive = append(alive, id)
		}
	}
	slices.Sort(alive)
	id := alive[n%len(alive)]
	steps := map[string]func() error{
		"read":  func() error { _, err := s.Read(ctx, store.Cursor{}); return err },
		"usage": func() error { _, err := s.RevocationUsage(ctx); return err },
		"list":  func() error { _, err := s.ListSessions(ctx, "user-1"); return err },
		"rotate": func() error {
			_, err := s.RotateSession(ctx, store.Rotation{Subject: userOf(id), ID: id, From: h.current[id], To: "next", Expires: end})
			return err
		},
		"end":    func() error { return s.EndSession(ctx, userOf(id), id) },
		"revoke": func() error { return s.Revoke(ctx, inAMinute(fmt.Sprint("live", n))) },
		"ticket": func() error { return s.PutTicket(ctx, store.TicketKey{byte(n)}, make([]byte, 3000), end) },
		"take":   func() error { _, err := s.TakeTicket(ctx, store.TicketKey{byte(n)}); return err },
		"session": func() error {
			return s.BeginSession(ctx, store.Session{ID: fmt.Sprint("live", n), Subject: "user-1", Current: "c", Started: time.Now(), Expires: end, Ends: end})
		},
		"wait":    func() error { return s.Wait(ctx, store.Cursor{}) },
		"waiting": func() error { return s.Wait(ctx, store.Cursor{Epoch: s.epoch}) },
	}
	for _, name := range append(slices.Sorted(maps.Keys(steps)), slices.Sorted(maps.Keys(steps))...) {
		failed = judge(t, fmt.Sprintf("%s %d: %s", kind, n, name), steps[name](), failed)
	}
	return failed
}

// judge fails the test unless err is allowed for a store whose open file was
// damaged. It reports whether the store has found the damage; from then on it
// must fail.
func judge(t *testing.T, what string, err error, failed bool) bool {
	t.Helper()
	switch {
	case errors.Is(err, ErrDamaged):
		sentence(t, what, 0, err)
		return true
	case failed:
		t.Errorf("%s after the damage was found: %v", what, err)
	case err != nil && !refused(err):
		t.Errorf("%s: %v", what, err)
	}
	return failed
}

// atExit keeps the race detector from delaying the exit of a child by a second.
const atExit = "GORACE=atexit_sleep_ms=0"

// cutEnv contains the name of the file that a child truncates while it is open.
const cutEnv = "WSAUTH_BOLT_CUT"

// TestCutOffWhileOpen checks that if an open file is truncated, so that reading
// its memory causes a fault, the store fails but the process does not crash.
func TestCutOffWhileOpen(t *testing.T) {
	h := live(t)
	path := newPath(t)
	copies := (damagesOfAKind() + 1) / 2
	for n := range copies {
		if err := os.WriteFile(path, h.now(), 0o600); err != nil {
			t.Fatal(err)
		}
		keep := len(h.now()) * n / copies
		cmd := exec.Command(os.Args[0], "-test.run", "TestCutOffChild", "-test.v")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%s", cutEnv, keep, path), atExit)
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestCutOffChild")) {
			t.Fatalf("cut off to %d bytes: %v\n%s", keep, err, out)
		}
		s, err := Open(path, store.Limits{})
		if err != nil {
			sentence(t, "cut off", n, err)
			continue
		}
		if lost := h.forgotten(t.Context(), s); len(lost) > 0 {
			t.Errorf("cut off to %d bytes: %d lost, such as %s", keep, len(lost), lost[0])
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCutOffChild runs in the child process of TestCutOffWhileOpen. Otherwise
// it does nothing.
func TestCutOffChild(t *testing.T) {
	size, path, ok := strings.Cut(os.Getenv(cutEnv), ":")
	if !ok {
		return
	}
	var keep int64
	if _, err := fmt.Sscan(size, &keep); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.ListSessions(t.Context(), "user-1")
	if err != nil {
		t.Fatal(err)
	}
	h := &history{current: map[string]string{}}
	for _, f := range all {
		h.current[f.ID] = f.Current
	}
	if err := os.Truncate(path, keep); err != nil {
		t.Fatal(err)
	}
	useAll(t, "cut off", int(keep), h, s)
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
