package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// transaction is what the file holds, within one transaction.
type transaction struct {
	log      *log
	tickets  *ticketTable
	families *familyTable
}

func openTransaction(tx *bbolt.Tx) *transaction {
	return &transaction{openLog(tx), openTickets(tx), openFamilies(tx)}
}

// close writes how many entries there are; what comes after is lost.
func (t *transaction) close() error {
	return errors.Join(t.log.count.close(), t.tickets.count.close(), t.families.count.close())
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
	meta *bbolt.Bucket
	key  []byte
	was  uint64
	n    uint64
}

func openCounter(tx *bbolt.Tx, key []byte) counter {
	c := counter{meta: tx.Bucket(metaBucket), key: key}
	if value := c.meta.Get(key); value != nil {
		c.was = binary.BigEndian.Uint64(value)
		c.n = c.was
	}
	return c
}

func (c *counter) close() error {
	if c.n == c.was {
		return nil
	}
	return c.meta.Put(c.key, number(c.n))
}

// The keys of an index of expiry are a moment in milliseconds since 1970 and
// the name of an entry.
func expiryKey(expires time.Time, name []byte) []byte {
	return append(number(uint64(expires.UnixMilli())), name...)
}

// firstDue returns up to limit names that expire at a moment or before it.
func firstDue(index *bbolt.Bucket, moment time.Time, limit int) [][]byte {
	var names [][]byte
	c := index.Cursor()
	for key, _ := c.First(); key != nil && len(names) < limit; key, _ = c.Next() {
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
