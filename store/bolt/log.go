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
	log, names, expiry *bbolt.Bucket
	count              counter
}

func openLog(tx *bbolt.Tx) *log {
	return &log{
		log:    tx.Bucket(logBucket),
		names:  tx.Bucket(namesBucket),
		expiry: tx.Bucket(expiryBucket),
		count:  openCounter(tx, countKey),
	}
}

// add adds all of the prepared revocations, or returns [store.ErrFull] and
// adds none. After another error the transaction must not be committed.
func (l *log) add(revocations []store.Revocation, limit int) error {
	added := uint64(0)
	for _, r := range revocations {
		if l.names.Get(nameOf(r)) == nil {
			added++
		}
	}
	if l.count.n+added > uint64(limit) {
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
	l.count.n++
	sequence := number(n)
	return errors.Join(
		l.log.Put(sequence, value),
		l.names.Put(nameOf(r), sequence),
		l.expiry.Put(expiryKey(r.Expires, sequence), nil),
	)
}

func (l *log) remove(sequence []byte, r store.Revocation) error {
	l.count.n--
	return errors.Join(
		l.log.Delete(sequence),
		l.names.Delete(nameOf(r)),
		l.expiry.Delete(expiryKey(r.Expires, sequence)),
	)
}

// due reports whether an entry is gone.
func (l *log) due(now time.Time) bool {
	return len(firstDue(l.expiry, now.Add(-store.ClockSlack), 1)) > 0
}

// sweep deletes up to limit entries that are gone.
func (l *log) sweep(now time.Time, limit int) error {
	for _, sequence := range firstDue(l.expiry, now.Add(-store.ClockSlack), limit) {
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

func decode(value []byte) (store.Revocation, error) {
	var r store.Revocation
	if err := r.UnmarshalBinary(value); err != nil {
		return r, errors.New("damaged file: " + err.Error()) // not the caller's mistake, so not ErrInvalid
	}
	return r, nil
}
