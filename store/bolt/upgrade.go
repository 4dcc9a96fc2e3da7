package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// oldFormat is what a file says of its layout that has no checksums.
const oldFormat = "wsauth store 1"

// A preparation is what has to be written to a file before anything else. It
// may stay pending for as long as there is no room for it.
type preparation struct {
	upgrading atomic.Bool   // the file is one without checksums
	sealed    atomic.Uint64 // the first commit whose records have them, or will
	revived   atomic.Bool   // no ticket is good; see [ticketTable.revived]

	// Of the writer.
	next  time.Time // when to try again
	fault error     // of the last try
}

// pending reports whether there is something to prepare.
func (p *preparation) pending() bool { return p.upgrading.Load() || p.revived.Load() }

// beginPreparation finds out what has to be prepared, and tries to. It fails
// only where the file is damaged.
func (s *Store) beginPreparation(format int) error {
	p := &s.preparation
	if format == 1 {
		p.upgrading.Store(true)
		p.sealed.Store(math.MaxUint64)
	}
	err := s.view(func(tx *checkedTx) error {
		p.revived.Store(openTickets(tx).revived(s.clock.now()))
		return nil
	})
	if err == nil {
		err = s.prepare()
	}
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return nil
}

// prepare does what is pending, or returns why it could not. Where the last
// try has failed, it waits for ten times as long as that took, and a second at
// least: a try may write the whole file.
func (s *Store) prepare() error {
	p := &s.preparation
	if !p.pending() {
		return nil
	}
	began := time.Now()
	if p.fault != nil && began.Before(p.next) {
		return p.fault
	}
	if p.fault = s.tryPrepare(); p.fault != nil {
		p.next = time.Now().Add(max(time.Second, 10*time.Since(began)))
	}
	return p.fault
}

func (s *Store) tryPrepare() error {
	p := &s.preparation
	if p.upgrading.Load() {
		err := s.commitWith(func(tx *bbolt.Tx) error {
			id := uint64(tx.ID())
			if p.sealed.Load() < id { // the last try has failed, and is in the file
				checked := s.db.checked(tx, &sum{})
				defer checked.trees.close()
				return openTransaction(checked).close()
			}
			if err := s.db.verifyOld(tx); err != nil {
				return err
			}
			p.sealed.Store(id)
			return upgrade(tx)
		})
		if err != nil {
			return fmt.Errorf("upgrade the file: %w", err)
		}
		p.upgrading.Store(false)
	}
	if p.revived.Load() {
		if err := s.updatePrepared((*transaction).dropTickets); err != nil {
			return fmt.Errorf("remove the tickets of before the clock was set back: %w", err)
		}
		p.revived.Store(false)
	}
	return nil
}

// verifyOld verifies a file without checksums again, which may have been open
// for long. The upgrade makes good records of all that it finds.
func (db *database) verifyOld(tx *bbolt.Tx) error {
	m := meta{
		pageSize: db.pageSize,
		root:     uint64(tx.Cursor().Bucket().Root()),
		freelist: noFreelist,
		high:     uint64(tx.Size()) / db.pageSize,
	}
	_, err := verifyContents(db.file, m)
	return err
}

// upgrade gives each record of an old file its checksum, and seals them.
func upgrade(tx *bbolt.Tx) error {
	var all sum
	for _, name := range buckets {
		b := tx.Bucket(name)
		var keys, values [][]byte
		err := b.ForEach(func(key, value []byte) error {
			if bytes.Equal(name, metaBucket) && bytes.Equal(key, formatKey) {
				value = []byte(format)
			}
			keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
			return nil
		})
		if err != nil {
			return err
		}
		for i, key := range keys {
			check := checksum(name, key, values[i])
			all.add(check)
			if err := b.Put(key, binary.BigEndian.AppendUint64(values[i], check)); err != nil {
				return err
			}
		}
	}
	return writeSeal(tx, all)
}
