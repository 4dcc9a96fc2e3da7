package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// log accesses the revocations within one transaction.
type log struct {
	log, names, expiry *table
	count              counter
}

func openLog(tx *checkedTx) *log {
	return &log{
		log:    openTable(tx, logBucket),
		names:  openTable(tx, namesBucket),
		expiry: openTable(tx, expiryBucket),
		count:  openCounter(tx, countKey),
	}
}

// add adds prepared revocations, except those that a revocation of everything
// covers. If the log is full, it returns [store.ErrFull] and adds none. After
// any other error, the transaction must not be committed.
func (l *log) add(revocations []store.Revocation, now time.Time, limit int) error {
	everything, _, err := l.everything()
	if err != nil {
		return err
	}
	// Uncovered modifies its argument, and the caller still uses the slice.
	revocations = storekit.Uncovered(slices.Clone(revocations), everything)
	added := uint64(0)
	for _, r := range revocations {
		if r.Target != store.TargetAll && l.names.get(nameOf(r)) == nil {
			added++
		}
	}
	full := func() bool { return added > 0 && l.counted()+added > uint64(limit) }
	if full() { // perhaps some entries have not been swept yet
		if err := l.sweep(now, sweepSize); err != nil {
			return err
		}
	}
	if full() {
		if _, err := l.trim(0, sweepSize); err != nil {
			return err
		}
	}
	if full() {
		return store.ErrFull
	}
	for _, r := range revocations {
		if err := l.put(r); err != nil {
			return err
		}
	}
	return nil
}

// everything returns the revocation of everything and its sequence number, or
// zero values.
func (l *log) everything() (store.Revocation, uint64, error) {
	sequence := l.names.get([]byte{byte(store.TargetAll)})
	if sequence == nil {
		return store.Revocation{}, 0, nil
	}
	r, err := decode(l.log.get(sequence))
	return r, binary.BigEndian.Uint64(sequence), err
}

// counted returns the number of entries that count towards the limit. The
// revocation of everything does not, because a full log must accept it.
func (l *log) counted() uint64 {
	if l.names.get([]byte{byte(store.TargetAll)}) != nil {
		return l.count.n - 1
	}
	return l.count.n
}

// trimmed reports whether all entries that the revocation of everything covers
// have been deleted.
func (l *log) trimmed() bool {
	_, sequence, err := l.everything()
	if err != nil || sequence == 0 {
		return true
	}
	done := l.count.meta.get(trimmedKey)
	return done != nil && binary.BigEndian.Uint64(done) == sequence
}

// trim deletes entries that the revocation of everything covers: up to limit of
// them, with sequence numbers greater than after. It returns the value of after
// for the next call, or math.MaxUint64 at the end.
func (l *log) trim(after uint64, limit int) (next uint64, err error) {
	everything, last, err := l.everything()
	if err != nil || last == 0 {
		return math.MaxUint64, err
	}
	var covered [][]byte
	next = after
	looked, c := 0, l.log.cursor()
	for key, value := c.seek(number(after + 1)); ; key, value = c.next() {
		if key == nil || binary.BigEndian.Uint64(key) > last {
			next = math.MaxUint64
			break
		}
		if looked++; looked > trimSize || len(covered) == limit {
			break
		}
		next = binary.BigEndian.Uint64(key)
		r, err := decode(value)
		if err != nil {
			return 0, err
		}
		if r.Target != store.TargetAll && everything.Covers(r) {
			covered = append(covered, bytes.Clone(key))
		}
	}
	for _, sequence := range covered {
		r, err := decode(l.log.get(sequence))
		if err != nil {
			return 0, err
		}
		if err := l.remove(sequence, r); err != nil {
			return 0, err
		}
	}
	if next == math.MaxUint64 {
		return next, l.count.meta.put(trimmedKey, number(last))
	}
	return next, nil
}

// put appends r to the log, unless it changes nothing.
func (l *log) put(r store.Revocation) error {
	if sequence := bytes.Clone(l.names.get(nameOf(r))); sequence != nil {
		old, err := decode(l.log.get(sequence))
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
	n, err := l.log.bucket.NextSequence()
	if err != nil {
		return err
	}
	l.count.n++
	sequence := number(n)
	return errors.Join(
		l.log.put(sequence, storekit.AppendRevocation(nil, r)),
		l.names.put(nameOf(r), sequence),
		l.expiry.put(expiryKey(r.Expires, sequence), nil),
	)
}

func (l *log) remove(sequence []byte, r store.Revocation) error {
	l.count.n--
	return errors.Join(
		l.log.delete(sequence),
		l.names.delete(nameOf(r)),
		l.expiry.delete(expiryKey(r.Expires, sequence)),
	)
}

// due reports whether any entry is obsolete.
func (l *log) due(now time.Time) bool {
	return len(firstDue(l.expiry, now.Add(-store.ClockSlack), 1)) > 0
}

// sweep deletes up to limit entries that are obsolete.
func (l *log) sweep(now time.Time, limit int) error {
	for _, sequence := range firstDue(l.expiry, now.Add(-store.ClockSlack), limit) {
		r, err := decode(l.log.get(sequence))
		if err != nil {
			return err
		}
		if err := l.remove(sequence, r); err != nil {
			return err
		}
	}
	return nil
}

// page returns the first entries after a sequence number that are neither
// obsolete nor covered by the revocation of everything.
func (l *log) page(epoch string, after uint64, now time.Time) (store.Page, error) {
	page := store.Page{Next: store.Cursor{Epoch: epoch, Sequence: after}, Now: now, Known: now}
	everything, _, err := l.everything()
	if err != nil {
		return store.Page{}, err
	}
	covered := func(r store.Revocation) bool { // but not trimmed yet
		return everything.Target == store.TargetAll && r.Target != store.TargetAll && everything.Covers(r)
	}
	c := l.log.cursor()
	for key, value := c.seek(number(after + 1)); key != nil; key, value = c.next() {
		if len(page.Revocations) == store.MaxPage {
			return page, nil
		}
		r, err := decode(value)
		if err != nil {
			return store.Page{}, err
		}
		page.Next.Sequence = binary.BigEndian.Uint64(key)
		if !r.Obsolete(now) && !covered(r) {
			page.Revocations = append(page.Revocations, r)
		}
	}
	page.Next.Sequence, page.End = l.log.bucket.Sequence(), true
	return page, nil
}

// nameOf returns the key of r in namesBucket.
func nameOf(r store.Revocation) []byte {
	return append([]byte{byte(r.Target)}, r.ID...)
}

// decode decodes a value in logBucket.
func decode(value []byte) (store.Revocation, error) {
	r, err := storekit.DecodeRevocation(value)
	if err != nil {
		// This is not an ErrInvalid, since the caller is not at fault.
		return store.Revocation{}, damaged("a revocation: %v", err)
	}
	return r, nil
}
