// Package filelock serializes changes of files by several programs.
//
// A program that changes a file reads it, modifies the content in memory, and
// writes it again. If two programs do this at the same time without a lock, one
// of the changes is lost, even if each write is atomic.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Patience is how long [Lock] waits. Programs that hold a lock only read and
// write files; they do not wait for users.
const Patience = 10 * time.Second

// retryEvery is the interval between attempts. No system offers a lock that
// can be awaited with a context.
const retryEvery = 10 * time.Millisecond

// ErrHeld means that another program or call has held the lock for [Patience].
var ErrHeld = errors.New("filelock: in use")

// Lock takes the lock represented by the file at path. It creates the file,
// and unlock removes it. unlock may be called more than once.
//
// The lock excludes other programs and other calls in this one. It does not
// synchronize memory between goroutines. Lock waits at most [Patience], then
// returns [ErrHeld]. If ctx is done earlier, it returns the error of ctx.
//
// If a program is killed, its lock is released, and the next call reuses the
// file. On systems without flock, such as Windows, the existence of the file is
// the lock. There the file of a killed program must be removed by hand; the
// error says so.
//
// A file that is not empty, or a symbolic link, is refused, so that Lock never
// removes a file that is not a lock.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		unlock, err := try(path)
		if !errors.Is(err, ErrHeld) {
			return unlock, err
		}
		select {
		case <-retry.C:
		case <-timeout.C:
			return nil, fmt.Errorf("%w: another program has held %s for %v; %s", ErrHeld, path, Patience, advice)
		case <-ctx.Done():
		}
	}
}
