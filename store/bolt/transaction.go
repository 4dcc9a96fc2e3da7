package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// A checkedTx is a bbolt transaction whose pages are checked before bbolt
// follows them, unless it creates the file.
type checkedTx struct {
	*bbolt.Tx
	trees *trees
	sum   *sum // of all records; nil if read-only
	plain bool // the records have no checksums
}

// transaction accesses the file within one write transaction.
type transaction struct {
	tx       *checkedTx
	log      *log
	tickets  *ticketTable
	sessions *sessionTable
}

// openTransaction reads the seal and initializes the sum of tx.
func openTransaction(tx *checkedTx) *transaction {
	sealed, ok := decodeSeal(openTable(tx, metaBucket).stored(sealKey))
	if !ok {
		panic(damaged("its seal is damaged"))
	}
	*tx.sum = sealed.sum
	return &transaction{tx, openLog(tx), openTickets(tx), openSessions(tx)}
}

// close writes the numbers of entries and the seal. There must be no changes
// after it.
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

// counter is a number of entries that is stored in the bucket meta.
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

// makeRoom calls sweep to delete expired entries if the limit is reached. If it
// is still reached after that, makeRoom returns [store.ErrFull].
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

// firstDue returns up to limit names of entries that expire at or before
// moment.
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
