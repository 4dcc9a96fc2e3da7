package bolt

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// A table is a bucket whose values end with the checksum of their record. Its
// methods panic with a [DamageError] when one is wrong, as bbolt panics about
// a damaged page; [guarded] returns both as errors.
type table struct {
	name   []byte
	bucket *bbolt.Bucket
	sum    *sum // of all tables of the transaction; nil if it only reads
}

// openTable opens a bucket, which the file has.
func openTable(tx *bbolt.Tx, name []byte, s *sum) *table {
	b := tx.Bucket(name)
	if b == nil {
		panic(damaged("it has no bucket %s", name))
	}
	return &table{name, b, s}
}

// get returns the value of a key, or nil. It is good while the transaction is.
func (t *table) get(key []byte) []byte {
	stored := t.bucket.Get(key)
	if stored == nil {
		return nil
	}
	value, _ := t.unsealed(key, stored)
	return value
}

func (t *table) unsealed(key, stored []byte) (value []byte, check uint64) {
	value, check, ok := unsealed(t.name, key, stored)
	if !ok {
		panic(damaged("a record of %s has a wrong checksum", t.name))
	}
	return value, check
}

// put writes a record.
func (t *table) put(key, value []byte) error {
	if old := t.bucket.Get(key); old != nil {
		_, check := t.unsealed(key, old)
		t.sum.remove(check)
	}
	check := checksum(t.name, key, value)
	t.sum.add(check)
	stored := make([]byte, 0, len(value)+checksumSize)
	return t.bucket.Put(key, binary.BigEndian.AppendUint64(append(stored, value...), check))
}

// delete removes a record if it is there.
func (t *table) delete(key []byte) error {
	old := t.bucket.Get(key)
	if old == nil {
		return nil
	}
	_, check := t.unsealed(key, old)
	t.sum.remove(check)
	return t.bucket.Delete(key)
}

// clear removes all records.
func (t *table) clear(tx *bbolt.Tx) (err error) {
	c := t.cursor()
	for key, stored := c.c.First(); key != nil; key, stored = c.c.Next() {
		_, check := t.unsealed(key, stored)
		t.sum.remove(check)
	}
	if err := tx.DeleteBucket(t.name); err != nil {
		return err
	}
	t.bucket, err = tx.CreateBucket(t.name)
	return err
}

// cursor returns a cursor over the records.
func (t *table) cursor() cursor { return cursor{t, t.bucket.Cursor()} }

// A cursor is one of bbolt that looks at checksums.
type cursor struct {
	t *table
	c *bbolt.Cursor
}

func (c cursor) first() (key, value []byte) { return c.checked(c.c.First()) }

// seek moves to the first record at or after a key. A damaged key would lead
// the search past others, so it looks at the record before too.
func (c cursor) seek(key []byte) (found, value []byte) {
	found, value = c.checked(c.c.Seek(key))
	search := c.t.bucket.Cursor()
	before, stored := search.Last()
	if found != nil {
		search.Seek(key)
		before, stored = search.Prev()
	}
	c.checked(before, stored)
	if found != nil && bytes.Compare(found, key) < 0 || before != nil && bytes.Compare(before, key) >= 0 {
		panic(damaged("the keys of %s are out of order", c.t.name))
	}
	return found, value
}

func (c cursor) next() (key, value []byte) { return c.checked(c.c.Next()) }

func (c cursor) checked(key, stored []byte) ([]byte, []byte) {
	if key == nil {
		return nil, nil
	}
	value, _ := c.t.unsealed(key, stored)
	return key, value
}
