package bolt

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"go.etcd.io/bbolt"
)

// A database is an open and locked file. Its transactions fail if the file is
// damaged, even where bbolt would panic.
type database struct {
	bolt     *bbolt.DB
	file     *os.File // the file that bolt uses
	path     string
	pageSize uint64
	log      *engineLog

	damage    atomic.Pointer[DamageError] // known damage of the file, or nil
	committed atomic.Uint64               // number of the last commit
	sealed    atomic.Uint64               // the first commit whose records have checksums; it may be pending
	beginning sync.Mutex                  // held while a transaction begins
	stuck     atomic.Bool                 // bbolt has panicked with its locks held
}

// close closes the file. If bbolt has panicked with its locks held, closing it
// would block forever. Then close closes only the file; the memory mapping
// remains and keeps the file locked until the process ends.
func (db *database) close() error {
	if !db.stuck.Load() {
		return db.bolt.Close()
	}
	if err := db.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// view calls do within a read transaction. It fails if the file is known to be
// damaged, or if do finds damage.
func (db *database) view(do func(*checkedTx) error) error {
	return db.guard(func() error {
		tx, err := db.begin(false)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // it has no errors
		checked := db.checked(tx, nil)
		defer checked.trees.close()
		checked.plain = uint64(tx.ID()) < db.sealed.Load()
		return do(checked)
	})
}

// update calls do within a write transaction, and commits it unless do fails.
func (db *database) update(do func(*transaction) error) error {
	return db.commit(func(tx *bbolt.Tx) error {
		checked := db.checked(tx, &sum{})
		defer checked.trees.close()
		t := openTransaction(checked)
		if err := do(t); err != nil {
			return err
		}
		return t.close()
	})
}

// commit is like update, but do must write the seal itself.
//
// It does not use bbolt's Update. After a panic, Update looks for free pages on
// another goroutine, where a second panic would crash the process.
func (db *database) commit(do func(*bbolt.Tx) error) error {
	return db.guard(func() error {
		tx, err := db.begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // fails after a commit, as intended
		if err := do(tx); err != nil {
			return err
		}
		id := uint64(tx.ID())
		db.log.committing.Store(true)
		err = tx.Commit()
		db.log.committing.Store(false)
		if err != nil {
			return err
		}
		db.committed.Store(id)
		// An extra safeguard; the commit is already durable.
		_ = mirror(db.file, db.pageSize, id)
		return nil
	})
}

// guard calls do and returns its error. If do finds damage, all later calls
// fail: a process that knows that the file is damaged must neither trust it
// nor write to it.
func (db *database) guard(do func() error) error {
	if d := db.damage.Load(); d != nil {
		return d
	}
	err := guarded(db.path, do)
	if d, ok := errors.AsType[*DamageError](err); ok {
		db.damage.CompareAndSwap(nil, d)
		return d
	}
	return err
}

// begin begins a transaction. If bbolt cannot read the first pages of the file,
// it panics with its locks held. Therefore begin reads them first.
func (db *database) begin(writable bool) (*bbolt.Tx, error) {
	db.beginning.Lock()
	defer db.beginning.Unlock()
	if d := db.damage.Load(); d != nil {
		return nil, d
	}
	if err := db.readable(); err != nil {
		return nil, err
	}
	last, returned := db.committed.Load(), false
	defer func() {
		if !returned {
			db.stuck.Store(true)
		}
	}()
	tx, err := db.bolt.Begin(writable)
	returned = true
	if err != nil {
		return nil, err
	}
	at := uint64(tx.ID())
	if writable { // it has the number of the next commit
		at--
	}
	if at < last { // bbolt went back to an older commit
		return nil, errors.Join(damaged("commit %d is lost", last), tx.Rollback())
	}
	return tx, nil
}

// readable fails if neither of the first two pages can be read. It tries
// several times, because one of them may be in the middle of a write.
func (db *database) readable() (err error) {
	for range 3 {
		for number := range uint64(2) {
			if _, err = readMeta(db.file, number, db.pageSize); err == nil || errors.Is(err, os.ErrClosed) {
				return nil // bbolt reports that it is closed
			}
		}
	}
	return err
}

// checked returns tx with a check of each page before bbolt follows it. It
// panics like the methods of [trees].
//
// It reads the memory to which bbolt has mapped the file. The mapping is
// stable while the transaction is open and its commit has not begun. Copying
// pages from there needs no system call and sees the same bytes as bbolt.
func (db *database) checked(tx *bbolt.Tx, s *sum) *checkedTx {
	info := db.bolt.Info()
	first := *(*unsafe.Pointer)(unsafe.Pointer(&info.Data)) //nolint:gosec // the only way to that memory
	mapped := unsafe.Slice((*byte)(first), tx.Size())       //nolint:gosec // see above
	return &checkedTx{Tx: tx, trees: newTrees(bytes.NewReader(mapped), db.pageSize, tx), sum: s}
}
