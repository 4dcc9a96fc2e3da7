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

// openFile opens, locks and verifies the file at path. It creates the file if
// it does not exist.
//
// The file is verified before bbolt opens it for writing. The lock belongs to
// the file, not to its name, and [compact] replaces the file. So the file may
// be replaced while openFile waits for the lock, and everything written to the
// old file would be lost. The locked file may also differ from the verified
// one, or have been written to since. In all of these cases openFile starts
// again.
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
		same, err := db.is(v)
		if err == nil && same {
			db.committed.Store(v.tx)
			return db, v, nil
		}
		if err := errors.Join(err, db.close()); err != nil {
			return nil, verified{}, fmt.Errorf("store/bolt: %w", err)
		}
	}
}

// is reports whether db is the verified file, is unchanged, and still has its
// name.
func (db *database) is(v verified) (bool, error) {
	held, err := db.file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(db.path) //nolint:gosec // the path that our caller has chosen
	if err != nil || !os.SameFile(held, named) || !os.SameFile(held, v.info) {
		return false, nil //nolint:nilerr // it has lost its name
	}
	unchanged := false
	err = guarded(db.path, func() error {
		return db.bolt.View(func(tx *bbolt.Tx) error { unchanged = uint64(tx.ID()) == v.tx; return nil })
	})
	return unchanged, err
}

// lockMode is the purpose of a lock.
type lockMode int

const (
	lockShared    lockMode = iota // for reading
	lockExclusive                 // for writing
	// For writing; the file is created if necessary.
	lockNew
)

// lock opens and locks the database at path. It waits for the lock.
func lock(path string, mode lockMode) (*database, error) {
	db := &database{path: path, log: &engineLog{}}
	var opening error
	err := guarded(path, func() (err error) {
		db.bolt, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: lockTimeout,
			// Do not write the list of free pages with every commit: it is long
			// after a large sweep. Open rebuilds it.
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
			db.pageSize = uint64(db.bolt.Info().PageSize)
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
		_ = db.file.Close() // left open by a panic
		err = diagnosed(path, err)
	}
	if errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return nil, fmt.Errorf("store/bolt: %w", err)
}

// diagnosed examines a file that bbolt cannot open. It returns the error that
// it finds in the first pages. If it finds none, it returns its argument
// otherwise.
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

// openPrivate opens or creates a file, and refuses one that other users can
// access.
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

// createFile creates an empty database. It does so atomically, because openFile
// treats an empty or incomplete file as damaged. It returns [fs.ErrExist] if
// the file already exists.
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
	if err := errors.Join(db.bolt.Update(create), db.close()); err != nil {
		return fmt.Errorf("store/bolt: %w", err)
	}
	err = os.Link(name, path)
	// The file system may not support links.
	if err != nil && !errors.Is(err, fs.ErrExist) {
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
