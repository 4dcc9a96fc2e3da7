package bolt

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// A table is a bucket whose values end with the checksum of their record. Its
// methods panic with a [DamageError] if a checksum or a page is wrong, as
// bbolt panics if a page is damaged. [guarded] converts both into errors.
type table struct {
	name   []byte
	bucket *bbolt.Bucket
	sum    *sum   // of all records in the transaction; nil if it is read-only
	trees  *trees // of the transaction
	root   uint64 // root page; 0: an inline bucket, without pages to check
	plain  bool   // no checksums: the file has not been upgraded
}

// openTable opens a bucket, which must exist.
func openTable(tx *checkedTx, name []byte) *table {
	t := &table{name: name, sum: tx.sum, trees: tx.trees, root: tx.trees.root(name), plain: tx.plain}
	if t.bucket = tx.Bucket(name); t.bucket == nil {
		panic(damaged("it has no bucket %s", name))
	}
	return t
}

// stored returns the value of a key with its checksum, or nil.
func (t *table) stored(key []byte) []byte {
	if t.root != 0 {
		t.trees.path(t.root, childOf(key))
	}
	return t.bucket.Get(key)
}

// around checks the pages that a change of the record with this key may affect.
func (t *table) around(key []byte) {
	if t.root != 0 {
		t.trees.around(t.root, childOf(key))
	}
}

// get returns the value of a key, or nil. The value is valid during the
// transaction.
func (t *table) get(key []byte) []byte {
	stored := t.stored(key)
	if stored == nil {
		return nil
	}
	value, _ := t.unsealed(key, stored)
	return value
}

func (t *table) unsealed(key, stored []byte) (value []byte, check uint64) {
	if t.plain {
		return stored, 0
	}
	value, check, ok := unsealed(t.name, key, stored)
	if !ok {
		panic(damaged("a record of %s has a wrong checksum", t.name))
	}
	return value, check
}

// put writes a record.
func (t *table) put(key, value []byte) error {
	t.around(key)
	if old := t.bucket.Get(key); old != nil {
		_, check := t.unsealed(key, old)
		t.sum.remove(check)
	}
	check := checksum(t.name, key, value)
	t.sum.add(check)
	stored := make([]byte, 0, len(value)+checksumSize)
	return t.bucket.Put(key, binary.BigEndian.AppendUint64(append(stored, value...), check))
}

// delete removes a record, if it exists.
func (t *table) delete(key []byte) error {
	t.around(key)
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
	if t.root != 0 {
		t.trees.all(t.root)
	}
	c := t.bucket.Cursor()
	for key, stored := c.First(); key != nil; key, stored = c.Next() {
		_, check := t.unsealed(key, stored)
		t.sum.remove(check)
	}
	if err := tx.DeleteBucket(t.name); err != nil {
		return err
	}
	t.bucket, err = tx.CreateBucket(t.name)
	t.root = 0
	return err
}

// cursor returns a cursor over the records.
func (t *table) cursor() *cursor { return &cursor{t: t, c: t.bucket.Cursor()} }

// A cursor is a bbolt cursor that verifies checksums, and checks pages before
// it moves to them.
type cursor struct {
	t     *table
	c     *bbolt.Cursor
	until []byte // first key of the next leaf; nil: no next leaf
}

func (c *cursor) first() (key, value []byte) {
	c.enter(firstChild)
	return c.checked(c.c.First())
}

// seek moves to the first record at or after key. It also verifies the
// preceding record, because a damaged key could make the search skip records.
func (c *cursor) seek(key []byte) (found, value []byte) {
	c.enter(childOf(key))
	found, value = c.checked(c.c.Seek(key))
	search := c.t.bucket.Cursor()
	var before, stored []byte
	if found != nil {
		search.Seek(key)
		before, stored = search.Prev()
	} else {
		c.enter(lastChild)
		before, stored = search.Last()
	}
	c.checked(before, stored)
	if found != nil && bytes.Compare(found, key) < 0 || before != nil && bytes.Compare(before, key) >= 0 {
		panic(damaged("the keys of %s are out of order", c.t.name))
	}
	return found, value
}

func (c *cursor) next() (key, value []byte) { return c.checked(c.c.Next()) }

// enter checks the pages around the leaf that next leads to.
func (c *cursor) enter(next choice) {
	if c.t.root != 0 {
		c.until = c.t.trees.around(c.t.root, next)
	}
}

// checked verifies the checksum of a record and returns the record without it.
// If bbolt has moved to another leaf, checked also checks the leaf after that.
func (c *cursor) checked(key, stored []byte) ([]byte, []byte) {
	if key == nil {
		return nil, nil
	}
	if c.until != nil && bytes.Compare(key, c.until) >= 0 {
		c.enter(childOf(key))
	}
	value, _ := c.t.unsealed(key, stored)
	return key, value
}
