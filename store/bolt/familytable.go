package bolt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"wsauth/store"
)

// familyTable accesses the families within one transaction.
type familyTable struct {
	families, expiry, subjects *table
	count                      counter
}

func openFamilies(tx *checkedTx) *familyTable {
	return &familyTable{
		families: openTable(tx, familiesBucket),
		expiry:   openTable(tx, familyExpiryBucket),
		subjects: openTable(tx, familySubjectBucket),
		count:    openCounter(tx, familyCountKey),
	}
}

// begin adds a family, which must be canonical.
func (t *familyTable) begin(f store.Family, now time.Time, limit int) error {
	switch old, err := t.get([]byte(f.ID)); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case !old.Expired(now):
		return fmt.Errorf("%w: a family that is there already", store.ErrInvalid)
	default: // expired, but not swept yet
		if err := t.remove(old); err != nil {
			return err
		}
	}
	if f.Expired(now) {
		return nil
	}
	if t.count.n >= uint64(limit) {
		if err := t.sweep(now, sweepSize); err != nil {
			return err
		}
	}
	if t.count.n >= uint64(limit) {
		return store.ErrFull
	}
	if full, err := t.full(f.Subject, now); err != nil || full {
		return cmp.Or(err, store.ErrFull)
	}
	t.count.n++
	return errors.Join(t.put(f), t.subjects.put(subjectKey(f), nil))
}

// rotate applies [store.Family.Rotate].
func (t *familyTable) rotate(r store.Rotation, now time.Time) (store.Family, error) {
	return t.step(r.ID, func(f store.Family) (store.Family, error) { return f.Rotate(r, now) })
}

// present applies [store.Family.Present].
func (t *familyTable) present(p store.Presentation, now time.Time) (store.Family, error) {
	return t.step(p.ID, func(f store.Family) (store.Family, error) { return f.Present(p, now) })
}

// step writes the result of take, or removes the family if its token was
// reused.
func (t *familyTable) step(id string, take func(store.Family) (store.Family, error)) (store.Family, error) {
	old, err := t.get([]byte(id))
	if err != nil {
		return store.Family{}, err
	}
	f, err := take(old)
	switch {
	case errors.Is(err, store.ErrReused):
		if failed := t.remove(old); failed != nil {
			return store.Family{}, failed
		}
		return f, err
	case err != nil || f == old:
		return f, err
	}
	if err := t.expiry.delete(expiryKey(old.Expires, []byte(old.ID))); err != nil {
		return store.Family{}, err
	}
	return f, t.put(f)
}

// end removes a family, if it exists.
func (t *familyTable) end(id string) error {
	f, err := t.get([]byte(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.remove(f)
}

// full reports whether a subject has reached its limit of families. It reads
// them only if some may have expired but not been swept.
func (t *familyTable) full(subject string, now time.Time) (bool, error) {
	n := 0
	prefix := subjectPrefix(subject)
	c := t.subjects.cursor()
	for key, _ := c.seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.next() {
		n++
	}
	if n < store.MaxFamilies {
		return false, nil
	}
	all, err := t.list(subject, now)
	return len(all) >= store.MaxFamilies, err
}

// list returns the families of a subject, the oldest first.
func (t *familyTable) list(subject string, now time.Time) ([]store.Family, error) {
	var all []store.Family
	prefix := subjectPrefix(subject)
	c := t.subjects.cursor()
	for key, _ := c.seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.next() {
		f, err := t.get(key[len(prefix)+8:])
		if err != nil {
			return nil, damaged("a subject's family: %v", err)
		}
		if !f.Expired(now) {
			all = append(all, f)
		}
	}
	return all, nil
}

// get returns a family, which may have expired.
func (t *familyTable) get(id []byte) (store.Family, error) {
	var f store.Family
	data := t.families.get(id)
	if data == nil {
		return f, store.ErrNotFound
	}
	if err := f.UnmarshalBinary(data); err != nil {
		return f, damaged("a family: %v", err)
	}
	return f, nil
}

// put writes a family and its index entry by expiry.
func (t *familyTable) put(f store.Family) error {
	value, err := f.AppendBinary(nil)
	if err != nil {
		return err
	}
	return errors.Join(
		t.families.put([]byte(f.ID), value),
		t.expiry.put(expiryKey(f.Expires, []byte(f.ID)), nil),
	)
}

func (t *familyTable) remove(f store.Family) error {
	t.count.n--
	return errors.Join(
		t.families.delete([]byte(f.ID)),
		t.expiry.delete(expiryKey(f.Expires, []byte(f.ID))),
		t.subjects.delete(subjectKey(f)),
	)
}

// due reports whether a family has expired.
func (t *familyTable) due(now time.Time) bool { return len(firstDue(t.expiry, now, 1)) > 0 }

// sweep deletes up to limit families that have expired.
func (t *familyTable) sweep(now time.Time, limit int) error {
	for _, id := range firstDue(t.expiry, now, limit) {
		f, err := t.get(id)
		if err != nil {
			return damaged("a family that expires: %v", err)
		}
		if err := t.remove(f); err != nil {
			return err
		}
	}
	return nil
}

// subjectPrefix returns the common prefix of the keys of a subject's families.
func subjectPrefix(subject string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(subject))), subject...)
}

// subjectKey returns a key that sorts families of a subject by their
// beginning.
func subjectKey(f store.Family) []byte {
	key := binary.BigEndian.AppendUint64(subjectPrefix(f.Subject), uint64(f.Began.UnixMilli()))
	return append(key, f.ID...)
}
