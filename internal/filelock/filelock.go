// Package filelock lets one program at a time change what lies beside a lock file.
//
// A change of a file that is read, changed in memory and written anew is lost when another program does the same meanwhile, however
// whole each of the two files was.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Patience is how long [Lock] waits at most. Who holds a lock reads and writes a file, and asks nobody anything.
const Patience = 10 * time.Second

// retryEvery is how often it tries. No system has a lock that can be waited for until a context is done.
const retryEvery = 10 * time.Millisecond

// ErrHeld means that somebody else has held a lock for as long as Lock waits.
var ErrHeld = errors.New("filelock: in use")

// Lock takes the lock that is the file at path, which it makes and which unlock removes. It excludes other programs and other calls
// in this one, though it is for files: it orders no access to memory. It waits for [Patience], and then fails with [ErrHeld], or until ctx is done, and fails with its error. It is no
// error to call unlock again.
//
// The lock of a program that was killed is free, and its file is taken over. Only where the system has no flock (Windows and others)
// the file is the lock, and stays until a person removes it, as the error says.
//
// A file that is not empty is no lock, and is refused with an error rather than removed in the end, as is a symbolic link.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	late := time.NewTimer(Patience)
	defer late.Stop()
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
		case <-late.C:
			return nil, fmt.Errorf("%w: another program has held %s for %v; %s", ErrHeld, path, Patience, advice)
		case <-ctx.Done():
		}
	}
}
