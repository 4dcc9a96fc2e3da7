package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustLock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	unlock, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

// TestLockExcludes checks that only one goroutine at a time holds the lock.
func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, entered atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				unlock, err := Lock(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d are in", n)
				}
				entered.Add(1)
				inside.Add(-1)
				unlock()
			}
		})
	}
	all.Wait()
	if n := entered.Load(); n != 200 {
		t.Errorf("%d times in, want 200", n)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestLockWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		unlock := mustLock(t, path)
		time.AfterFunc(Patience-time.Second, unlock)
		started := time.Now()
		mustLock(t, path)()
		if waited := time.Since(started); waited < Patience-time.Second || waited > Patience-time.Second+retryEvery {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestLockGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		unlock := mustLock(t, path)
		started := time.Now()
		again, err := Lock(t.Context(), path)
		if !errors.Is(err, ErrHeld) || again != nil || !strings.Contains(err.Error(), path+" for 10s; try again") {
			t.Errorf("held: %v", err)
		}
		if waited := time.Since(started); waited != Patience {
			t.Errorf("waited %v, want %v", waited, Patience)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a context that ends: %v", err)
		}
		unlock()
		if _, err := Lock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a context that has ended: %v", err)
		}
	})
}

// TestUnlockAgain checks that a second call of unlock does not release the next
// holder's lock.
func TestUnlockAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock := mustLock(t, path)
	unlock()
	next := mustLock(t, path)
	defer next()
	unlock()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestLockRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "lock")
	if _, err := Lock(t.Context(), path); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrHeld) {
		t.Errorf("no folder: %v", err)
	}
}
