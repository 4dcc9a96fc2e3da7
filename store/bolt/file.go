package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"
)

// A database is an open and locked file.
type database struct {
	*bbolt.DB
	file     *os.File // the one of DB
	pageSize uint64
	log      *engineLog
}

// openFile opens, locks and verifies the file at a path, and makes it where
// there is none.
//
// It is verified before bbolt opens it for writing. The lock is of the file,
// not of its name, and [compact] puts another file in its place. So the file
// that was locked in the end may have lost its name while this waited, and all
// that is written to it would be lost; or it may be another one than the one
// that was verified, or have been written to. Then this begins anew.
func openFile(path string) (*database, verified, error) {
	for {
		v, err := verifyPath(path)
		if errors.Is(err, fs.ErrNotExist) {
			if err = createFile(path); err == nil || errors.Is(err, fs.ErrExist) {
				continue
			}
		}
		if err != nil {
			return nil, verified{}, err
		}
		db, err := lock(path, lockExclusive)
		if err != nil {
			return nil, verified{}, err
		}
		same, err := db.is(path, v)
		if err == nil && same {
			return db, v, nil
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return nil, verified{}, fmt.Errorf("store/bolt: %w", err)
		}
	}
}

// is reports whether db is the file that was verified, unchanged, and has the
// name still.
func (db *database) is(path string, v verified) (bool, error) {
	held, err := db.file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path) //nolint:gosec // the path that our caller has chosen
	if err != nil || !os.SameFile(held, named) || !os.SameFile(held, v.info) {
		return false, nil //nolint:nilerr // it has lost its name
	}
	unchanged := false
	err = guarded(path, func() error {
		return db.View(func(tx *bbolt.Tx) error { unchanged = uint64(tx.ID()) == v.tx; return nil })
	})
	return unchanged, err
}

// lockMode says what a file is locked for.
type lockMode int

const (
	lockShared    lockMode = iota // for reading
	lockExclusive                 // for writing
	lockNew                       // for writing; it is made if it is not there
)

// lock opens the database that has a name now, and waits for its lock.
func lock(path string, mode lockMode) (*database, error) {
	db := &database{log: &engineLog{}}
	var opening error
	err := guarded(path, func() (err error) {
		db.DB, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: lockTimeout,
			// The list of free pages is rebuilt by Open, rather than written
			// anew by every commit: it is long after a great sweep.
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
			ReadOnly:       mode == lockShared,
			Logger:         db.log,
			OpenFile: func(path string, flag int, perm os.FileMode) (*os.File, error) {
				if mode != lockNew {
					flag &^= os.O_CREATE
				}
				db.file, opening = openPrivate(path, flag, perm)
				return db.file, opening
			},
		})
		if err == nil {
			db.pageSize = uint64(db.Info().PageSize)
			db.log.file, db.log.pageSize = db.file, db.pageSize
		}
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bberrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	case opening == nil:
		_ = db.file.Close() // which a panic has left open
		err = diagnosed(path, err)
	}
	if errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return nil, fmt.Errorf("store/bolt: %w", err)
}

// diagnosed returns what is wrong with the first pages of a file that bbolt
// does not open, or its error when nothing is.
func diagnosed(path string, otherwise error) error {
	file, err := openPrivate(path, os.O_RDONLY, 0)
	if err != nil {
		return otherwise
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return otherwise
	}
	if _, err := readMetas(file, info.Size()); err != nil {
		return located(path, err)
	}
	return otherwise
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

// createFile makes a file with nothing in it, and does so in one step: a file
// that is empty or half of one has lost what it had, and was not interrupted
// here. It fails with [fs.ErrExist] if there is one by then.
func createFile(path string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*") // mode 0600
	if err != nil {
		return fmt.Errorf("store/bolt: %w", err)
	}
	name := temporary.Name()
	defer os.Remove(name) //nolint:errcheck // it is gone where it was renamed
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("store/bolt: %w", err)
	}
	db, err := lock(name, lockExclusive)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(create), db.Close()); err != nil {
		return fmt.Errorf("store/bolt: %w", err)
	}
	err = os.Link(name, path)
	if err != nil && !errors.Is(err, fs.ErrExist) { // a file system without links
		if _, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the path that our caller has chosen
			err = os.Rename(name, path) //nolint:gosec // the path that our caller has chosen
		} else if err == nil {
			err = fs.ErrExist
		}
	}
	if err != nil {
		return fmt.Errorf("store/bolt: %w", err)
	}
	return nil
}
