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

// view calls do within a transaction that reads. It fails if the file is known
// to be damaged, or turns out to be.
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

// update calls do within a transaction that writes, and commits that unless it
// fails. It prepares the file first if that is pending.
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

// commitWith is update for what seals the records itself.
//
// It does not use bbolt's own Update, which looks for free pages after a
// panic, on another goroutine, where the next panic would end the process.
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
		_ = mirror(s.db.file, s.db.pageSize, id) // one more safety; the commit is durable
		return nil
	})
}

// guard calls do and returns its error, or the damage that it has come upon,
// with which all later calls fail: a process that knows that the file is
// damaged must neither believe it nor write to it.
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

// begin begins a transaction. bbolt panics with its locks held when it cannot
// read its first pages, so this reads them before.
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
	if writable { // the number of the commit that it will be
		at--
	}
	if at < last { // a damaged first page makes bbolt go back to the commit before
		return nil, errors.Join(damaged("commit %d is lost", last), tx.Rollback())
	}
	return tx, nil
}

// readable fails if neither of the first two pages can be read. One of them
// may be about to be written.
func (db *database) readable() (err error) {
	for range 3 {
		for number := range uint64(2) {
			if _, err = readMeta(db.file, number, db.pageSize); err == nil || errors.Is(err, os.ErrClosed) {
				return nil // bbolt knows that it is closed
			}
		}
	}
	return err
}

// A checkedTx is a bbolt transaction whose pages are checked before bbolt
// follows them, except in a transaction that makes the file.
type checkedTx struct {
	*bbolt.Tx
	trees *trees
	sum   *sum // of all records; nil if it only reads
	plain bool // the records have no checksums
}

// checked returns tx with its pages checked. It panics as [trees] do.
//
// It reads the memory that bbolt has mapped the file to, which stays while the
// transaction is open and has not begun to commit: copying a page from there
// needs no system call, and gives the bytes that bbolt sees.
func (db *database) checked(tx *bbolt.Tx, s *sum) *checkedTx {
	info := db.Info()
	first := *(*unsafe.Pointer)(unsafe.Pointer(&info.Data)) //nolint:gosec // the only way to that memory
	mapped := unsafe.Slice((*byte)(first), tx.Size())       //nolint:gosec // see above
	return &checkedTx{Tx: tx, trees: newTrees(bytes.NewReader(mapped), db.pageSize, tx), sum: s}
}

// transaction is what the file holds, within one transaction that writes.
type transaction struct {
	tx       *checkedTx
	log      *log
	tickets  *ticketTable
	families *familyTable
}

// openTransaction reads the sum of the file into that of tx.
func openTransaction(tx *checkedTx) *transaction {
	sealed, ok := decodeSeal(openTable(tx, metaBucket).stored(sealKey))
	if !ok {
		panic(damaged("its seal is damaged"))
	}
	*tx.sum = sealed.sum
	return &transaction{tx, openLog(tx), openTickets(tx), openFamilies(tx)}
}

// close writes how many entries there are, and seals the records; what comes
// after is lost.
func (t *transaction) close() error {
	err := errors.Join(t.log.count.close(), t.tickets.count.close(), t.families.count.close())
	t.log.count.meta.around(sealKey)
	return errors.Join(err, writeSeal(t.tx.Tx, *t.tx.sum))
}

// due reports whether there is anything to sweep. It is given what the
// system's clock shows, and that of tickets.
func (t *transaction) due(now, ticketNow time.Time) bool {
	return t.log.due(now) || t.tickets.due(ticketNow) || t.families.due(now)
}

// sweep deletes up to limit entries of each kind that are gone.
func (t *transaction) sweep(now, ticketNow time.Time, limit int) error {
	if err := t.log.sweep(now, limit); err != nil {
		return err
	}
	if err := t.tickets.sweep(ticketNow, limit); err != nil {
		return err
	}
	return t.families.sweep(now, limit)
}

// counter is a number in the bucket meta: how many entries there are of a kind.
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

func (c *counter) close() error {
	if c.n == c.was {
		return nil
	}
	return c.meta.put(c.key, number(c.n))
}

// The keys of an index of expiry are a moment in milliseconds since 1970 and
// the name of an entry.
func expiryKey(expires time.Time, name []byte) []byte {
	return append(number(uint64(expires.UnixMilli())), name...)
}

// firstDue returns up to limit names that expire at a moment or before it.
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

// refused reports whether an error is an answer to one write, which leaves the
// others of its transaction alone.
func refused(err error) bool {
	return errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrInvalid) ||
		errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrReused)
}
