package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"wsauth/store"
)

// log is the log of revocations within one transaction.
type log struct {
	meta, log, names, expiry *bbolt.Bucket
	count                    uint64
}

func openLog(tx *bbolt.Tx) *log {
	l := &log{
		meta:   tx.Bucket(metaBucket),
		log:    tx.Bucket(logBucket),
		names:  tx.Bucket(namesBucket),
		expiry: tx.Bucket(expiryBucket),
	}
	l.count = binary.BigEndian.Uint64(l.meta.Get(countKey))
	return l
}

// close writes how many entries there are; what comes after is lost.
func (l *log) close() error { return l.meta.Put(countKey, number(l.count)) }

// add adds all of the prepared revocations, or returns [store.ErrFull] and
// adds none. After another error the transaction must not be committed.
func (l *log) add(revocations []store.Revocation, limit uint64) error {
	added := uint64(0)
	for _, r := range revocations {
		if l.names.Get(nameOf(r)) == nil {
			added++
		}
	}
	if l.count+added > limit {
		return store.ErrFull
	}
	for _, r := range revocations {
		if err := l.put(r); err != nil {
			return err
		}
	}
	return nil
}

// put adds r to the end of the log, unless it changes nothing.
func (l *log) put(r store.Revocation) error {
	if sequence := bytes.Clone(l.names.Get(nameOf(r))); sequence != nil {
		old, err := decode(l.log.Get(sequence))
		if err != nil {
			return err
		}
		if r = r.Merge(old); r == old {
			return nil
		}
		if err := l.remove(sequence, old); err != nil {
			return err
		}
	}
	n, err := l.log.NextSequence()
	if err != nil {
		return err
	}
	value, err := r.AppendBinary(nil)
	if err != nil {
		return err
	}
	l.count++
	sequence := number(n)
	return errors.Join(
		l.log.Put(sequence, value),
		l.names.Put(nameOf(r), sequence),
		l.expiry.Put(expiryOf(r, sequence), nil),
	)
}

func (l *log) remove(sequence []byte, r store.Revocation) error {
	l.count--
	return errors.Join(
		l.log.Delete(sequence),
		l.names.Delete(nameOf(r)),
		l.expiry.Delete(expiryOf(r, sequence)),
	)
}

// due reports whether an entry is gone.
func (l *log) due(now time.Time) bool {
	key, _ := l.expiry.Cursor().First()
	return key != nil && goneBy(key, now)
}

// sweep deletes up to limit entries that are gone.
func (l *log) sweep(now time.Time, limit int) error {
	var sequences [][]byte
	c := l.expiry.Cursor()
	for key, _ := c.First(); key != nil && goneBy(key, now) && len(sequences) < limit; key, _ = c.Next() {
		sequences = append(sequences, bytes.Clone(key[8:]))
	}
	for _, sequence := range sequences {
		r, err := decode(l.log.Get(sequence))
		if err != nil {
			return err
		}
		if err := l.remove(sequence, r); err != nil {
			return err
		}
	}
	return nil
}

// page returns what came after a sequence and is not gone.
func (l *log) page(epoch string, after uint64, now time.Time) (store.Page, error) {
	page := store.Page{Next: store.Cursor{Epoch: epoch, Sequence: after}}
	c := l.log.Cursor()
	for key, value := c.Seek(number(after + 1)); key != nil; key, value = c.Next() {
		if len(page.Revocations) == store.MaxPage {
			return page, nil
		}
		r, err := decode(value)
		if err != nil {
			return store.Page{}, err
		}
		page.Next.Sequence = binary.BigEndian.Uint64(key)
		if !r.Gone(now) {
			page.Revocations = append(page.Revocations, r)
		}
	}
	page.Next.Sequence = l.log.Sequence()
	return page, nil
}

func nameOf(r store.Revocation) []byte {
	return append([]byte{byte(r.Scope)}, r.ID...)
}

func expiryOf(r store.Revocation, sequence []byte) []byte {
	return append(number(uint64(r.Expires.UnixMilli())), sequence...)
}

// goneBy reports whether the entry of a key of the expiry bucket is gone.
func goneBy(key []byte, now time.Time) bool {
	expires := time.UnixMilli(int64(binary.BigEndian.Uint64(key)))
	return store.Revocation{Expires: expires}.Gone(now)
}

func decode(value []byte) (store.Revocation, error) {
	var r store.Revocation
	if err := r.UnmarshalBinary(value); err != nil {
		return r, errors.New("damaged file: " + err.Error()) // not the caller's mistake, so not ErrInvalid
	}
	return r, nil
}
