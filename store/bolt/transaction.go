package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"time"
	"unsafe"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// view calls do within a read transaction. It fails if the file is known or
// found to be damaged.
func (s *Store) view(do func(*checkedTx) error) error {
	return s.guard(func() error {
		tx, err := s.begin(false)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // it has no errors
		checked := s.db.checked(tx, nil)
		defer checked.trees.close()
		checked.plain = uint64(tx.ID()) < s.preparation.sealed.Load()
		return do(checked)
	})
}

// update calls do within a write transaction, and commits it unless do fails.
// It first prepares the file if necessary.
func (s *Store) update(do func(*transaction) error) error {
	if err := s.prepare(); err != nil {
		return err
	}
	return s.updatePrepared(do)
}

func (s *Store) updatePrepared(do func(*transaction) error) error {
	return s.commitWith(func(tx *bbolt.Tx) error {
		checked := s.db.checked(tx, &sum{})
		defer checked.trees.close()
		t := openTransaction(checked)
		if err := do(t); err != nil {
			return err
		}
		return t.close()
	})
}

// commitWith is update for callers that write the seal themselves.
//
// It does not use bbolt's Update, because that looks for free pages after a
// panic on another goroutine, where a second panic would crash the process.
func (s *Store) commitWith(do func(*bbolt.Tx) error) error {
	return s.guard(func() error {
		tx, err := s.begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit it is one, which is meant
		if err := do(tx); err != nil {
			return err
		}
		id := uint64(tx.ID())
		s.db.log.committing.Store(true)
		err = tx.Commit()
		s.db.log.committing.Store(false)
		if err != nil {
			return err
		}
		s.committed.Store(id)
		// An extra safeguard; the commit is already durable.
		_ = mirror(s.db.file, s.db.pageSize, id)
		return nil
	})
}

// guard calls do and returns its error. If do finds damage, all later calls
// fail: a process that knows that the file is damaged must neither trust it
// nor write to it.
func (s *Store) guard(do func() error) error {
	if d := s.damage.Load(); d != nil {
		return d
	}
	err := guarded(s.path, do)
	if d, ok := errors.AsType[*DamageError](err); ok {
		s.damage.CompareAndSwap(nil, d)
		return d
	}
	return err
}

// begin begins a transaction. If bbolt cannot read its first pages, it panics
// with its locks held, so begin reads them first.
func (s *Store) begin(writable bool) (*bbolt.Tx, error) {
	s.beginning.Lock()
	defer s.beginning.Unlock()
	if d := s.damage.Load(); d != nil {
		return nil, d
	}
	if err := s.db.readable(); err != nil {
		return nil, err
	}
	last, returned := s.committed.Load(), false
	defer func() {
		if !returned {
			s.stuck.Store(true)
		}
	}()
	tx, err := s.db.Begin(writable)
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

// readable fails if neither of the first two pages can be read. One of them
// may just be being written.
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

// A checkedTx is a bbolt transaction whose pages are checked before bbolt
// follows them, unless it creates the file.
type checkedTx struct {
	*bbolt.Tx
	trees *trees
	sum   *sum // of all records; nil if read-only
	plain bool // the records have no checksums
}

// checked returns tx with checked pages. It panics like the methods of
// [trees].
//
// It reads the memory to which bbolt has mapped the file. The mapping is
// stable while the transaction is open and its commit has not begun. Copying
// pages from there needs no system call and sees the same bytes as bbolt.
func (db *database) checked(tx *bbolt.Tx, s *sum) *checkedTx {
	info := db.Info()
	first := *(*unsafe.Pointer)(unsafe.Pointer(&info.Data)) //nolint:gosec // the only way to that memory
	mapped := unsafe.Slice((*byte)(first), tx.Size())       //nolint:gosec // see above
	return &checkedTx{Tx: tx, trees: newTrees(bytes.NewReader(mapped), db.pageSize, tx), sum: s}
}

// transaction accesses the file within one write transaction.
type transaction struct {
	tx       *checkedTx
	log      *log
	tickets  *ticketTable
	sessions *sessionTable
}

// openTransaction reads the seal and initialises the sum of tx.
func openTransaction(tx *checkedTx) *transaction {
	sealed, ok := decodeSeal(openTable(tx, metaBucket).stored(sealKey))
	if !ok {
		panic(damaged("its seal is damaged"))
	}
	*tx.sum = sealed.sum
	return &transaction{tx, openLog(tx), openTickets(tx), openSessions(tx)}
}

// close writes the numbers of entries and the seal. Changes after it would be
// lost.
func (t *transaction) close() error {
	err := errors.Join(t.log.count.close(), t.tickets.count.close(), t.sessions.count.close())
	t.log.count.meta.around(sealKey)
	return errors.Join(err, writeSeal(t.tx.Tx, *t.tx.sum))
}

// due reports whether there is anything to sweep. now is the time of the
// system clock, ticketNow that of the ticket clock.
func (t *transaction) due(now, ticketNow time.Time) bool {
	return t.log.due(now) || t.tickets.due(ticketNow) || t.sessions.due(now)
}

// sweep deletes up to limit expired entries of each kind.
func (t *transaction) sweep(now, ticketNow time.Time, limit int) error {
	if err := t.log.sweep(now, limit); err != nil {
		return err
	}
	if err := t.tickets.sweep(ticketNow, limit); err != nil {
		return err
	}
	return t.sessions.sweep(now, limit)
}

// counter is a number of entries, stored in the bucket meta.
type counter struct {
	meta *table
	key  []byte
	was  uint64
	n    uint64
}

func openCounter(tx *checkedTx, key []byte) counter {
	c := counter{meta: openTable(tx, metaBucket), key: key}
	if value := c.meta.get(key); value != nil {
		c.was = binary.BigEndian.Uint64(value)
		c.n = c.was
	}
	return c
}

// makeRoom returns [store.ErrFull] if there are limit entries, even after sweep
// has deleted those that have expired.
func (c *counter) makeRoom(limit int, now time.Time, sweep func(now time.Time, limit int) error) error {
	if c.n < uint64(limit) {
		return nil
	}
	if err := sweep(now, sweepSize); err != nil {
		return err
	}
	if c.n >= uint64(limit) {
		return store.ErrFull
	}
	return nil
}

func (c *counter) close() error {
	if c.n == c.was {
		return nil
	}
	return c.meta.put(c.key, number(c.n))
}

// expiryKey returns a key in an index by expiry: the time in milliseconds
// since 1970 and the name of the entry.
func expiryKey(expires time.Time, name []byte) []byte {
	return append(number(uint64(expires.UnixMilli())), name...)
}

// firstDue returns up to limit names that expire at or before moment.
func firstDue(index *table, moment time.Time, limit int) [][]byte {
	var names [][]byte
	c := index.cursor()
	for key, _ := c.first(); key != nil && len(names) < limit; key, _ = c.next() {
		if int64(binary.BigEndian.Uint64(key)) > moment.UnixMilli() {
			break
		}
		names = append(names, bytes.Clone(key[8:]))
	}
	return names
}

// refused reports whether err concerns a single write and does not affect the
// other writes in its transaction.
func refused(err error) bool {
	return errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrInvalid) ||
		errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrReused)
}
