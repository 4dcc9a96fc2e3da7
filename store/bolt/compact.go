package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"go.etcd.io/bbolt"
)

const (
	// compactSize is how long a file must be for it to be worth a compaction.
	compactSize = 64 << 20

	// compactStep is how many bytes of entries one transaction copies.
	compactStep = 1 << 20
)

// compact makes a file anew that is long and three quarters empty, and returns
// the database to go on with, which is the same where that is not worth it or
// fails, as on a full disk. The file has the lock, and nobody has begun to use
// it.
//
// The new file is locked before it takes the name of the old one, and the old
// one stays locked until then: at each moment, who opens the file by its name
// finds it locked, or is the only one; see [openFile] for who waits.
func compact(path string, db *database) (*database, error) {
	temporary := path + ".compact"
	err := os.Remove(temporary) //nolint:gosec // the path that our caller has chosen
	// Windows does not rename a file that is open.
	if runtime.GOOS == "windows" || err != nil && !errors.Is(err, fs.ErrNotExist) || !sparse(db) {
		return db, nil
	}
	fresh, err := copyTo(temporary, db)
	if err != nil {
		_ = os.Remove(temporary) //nolint:gosec // the path that our caller has chosen
		return db, nil           //nolint:nilerr // compaction can wait
	}
	if err := os.Rename(temporary, path); err != nil { //nolint:gosec // the path that our caller has chosen
		return nil, errors.Join(fmt.Errorf("store/bolt: %w", err), fresh.Close(), db.Close())
	}
	if err := errors.Join(db.Close(), syncDirectory(path)); err != nil {
		return nil, errors.Join(fmt.Errorf("store/bolt: %w", err), fresh.Close())
	}
	return fresh, nil
}

// sparse reports whether a file is worth it. A transaction has been committed
// since it was opened, which counts its free pages.
func sparse(db *database) (worth bool) {
	stats := db.Stats()
	free := int64(stats.FreePageN+stats.PendingPageN) * int64(db.Info().PageSize)
	err := db.View(func(tx *bbolt.Tx) error {
		worth = tx.Size() > compactSize && free > tx.Size()/4*3
		return nil
	})
	return err == nil && worth
}

// copyTo writes what a database holds to a new file, seals, verifies and syncs
// it.
func copyTo(path string, db *database) (*database, error) {
	fresh, err := lock(path, lockNew)
	if err != nil {
		return nil, err
	}
	fresh.NoSync = true // once, at the end
	err = guarded(path, func() error {
		return errors.Join(bbolt.Compact(fresh.DB, db.DB, compactStep), fresh.Update(func(tx *bbolt.Tx) error {
			return openTransaction(fresh.checked(tx, &sum{})).close()
		}))
	})
	fresh.NoSync = false
	if err == nil {
		_, err = verify(path, fresh.file)
	}
	if err := errors.Join(err, fresh.Sync()); err != nil {
		return nil, errors.Join(err, fresh.Close())
	}
	return fresh, nil
}
