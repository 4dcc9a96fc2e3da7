package bolt

import (
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"
)

// openFile opens and locks the file at a path.
//
// The lock is of the file, not of its name, and [compact] puts another file in
// its place. So the file that was locked in the end may have lost its name
// while this waited, and all that is written to it would be lost: then it is
// the other one that is meant.
func openFile(path string) (*bbolt.DB, error) {
	for {
		db, file, err := lock(path)
		if err != nil {
			return nil, err
		}
		held, err := file.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("store/bolt: %w", err), db.Close())
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(held, named) { //nolint:gosec // the path that our caller has chosen
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("store/bolt: %w", err)
		}
	}
}

// lock opens the database that has a name now, and waits for its lock.
func lock(path string) (db *bbolt.DB, file *os.File, err error) {
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockTimeout,
		// The list of free pages is rebuilt by Open, rather than written anew
		// by every commit: it is long after a great sweep.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			file, err = openPrivate(path, flag, mode)
			return file, err
		},
	})
	switch {
	case errors.Is(err, bberrors.ErrTimeout):
		return nil, nil, fmt.Errorf("%w: %s", ErrLocked, path)
	case err != nil:
		return nil, nil, fmt.Errorf("store/bolt: %w", err)
	}
	return db, file, nil
}

// openPrivate opens or makes a file, and refuses one that is not of this user
// alone.
func openPrivate(path string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := openPlain(path, flag, mode)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		err = checkPrivate(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
