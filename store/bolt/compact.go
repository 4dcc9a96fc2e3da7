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
	// compactSize is the minimum size of a file for compaction, in bytes.
	compactSize = 64 << 20

	// compactStep is the maximum number of bytes that one transaction copies.
	compactStep = 1 << 20
)

// compact rewrites a file that is large and three quarters empty. It returns
// the database to continue with, which is db itself if compaction is not
// worthwhile or fails, for example because the disk is full. The file must be
// locked and not yet in use.
//
// The new file is locked before it is renamed, and the old one stays locked
// until after that. So a process that opens the file by its name always finds
// it locked. [openFile] handles processes that were waiting for the lock on the
// old file.
func compact(db *database) (*database, error) {
	temporary := db.path + ".compact"
	err := os.Remove(temporary) //nolint:gosec // the path that our caller has chosen
	// Windows cannot rename an open file.
	if runtime.GOOS == "windows" || err != nil && !errors.Is(err, fs.ErrNotExist) || !sparse(db) {
		return db, nil
	}
	fresh, err := copyTo(temporary, db)
	if err != nil {
		_ = os.Remove(temporary) //nolint:gosec // the path that our caller has chosen
		return db, nil           //nolint:nilerr // compaction can wait
	}
	if err := os.Rename(temporary, db.path); err != nil { //nolint:gosec // the path that our caller has chosen
		return nil, errors.Join(fmt.Errorf("store/bolt: %w", err), fresh.close(), db.close())
	}
	fresh.path = db.path
	if err := errors.Join(db.close(), syncDirectory(db.path)); err != nil {
		return nil, errors.Join(fmt.Errorf("store/bolt: %w", err), fresh.close())
	}
	return fresh, nil
}

// sparse reports whether compacting the file is worthwhile. A transaction must
// have been committed since the file was opened, because bbolt counts the free
// pages at a commit.
func sparse(db *database) (worth bool) {
	stats := db.bolt.Stats()
	free := int64(stats.FreePageN+stats.PendingPageN) * int64(db.bolt.Info().PageSize)
	err := db.bolt.View(func(tx *bbolt.Tx) error {
		worth = tx.Size() > compactSize && free > tx.Size()/4*3
		return nil
	})
	return err == nil && worth
}

// copyTo copies a database to a new file, seals it, verifies it and syncs it.
func copyTo(path string, db *database) (*database, error) {
	fresh, err := lock(path, lockNew)
	if err != nil {
		return nil, err
	}
	fresh.bolt.NoSync = true // sync once, at the end
	err = guarded(path, func() error {
		return errors.Join(bbolt.Compact(fresh.bolt, db.bolt, compactStep), fresh.bolt.Update(func(tx *bbolt.Tx) error {
			return openTransaction(fresh.checked(tx, &sum{})).close()
		}))
	})
	fresh.bolt.NoSync = false
	if err == nil {
		_, err = verify(path, fresh.file)
	}
	if err := errors.Join(err, fresh.bolt.Sync()); err != nil {
		return nil, errors.Join(err, fresh.close())
	}
	return fresh, nil
}
