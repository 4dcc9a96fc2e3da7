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

// oldFormat identifies the layout without checksums.
const oldFormat = "wsauth store 1"

// A preparation is work that must precede the first write to a file. It may
// remain pending while there is no disk space.
type preparation struct {
	upgrading atomic.Bool // the file has no checksums yet
	// The first commit whose records have or will have them.
	sealed atomic.Uint64
	// All tickets are invalid; see [ticketTable.revived].
	revived atomic.Bool

	// Used by the writer only.
	next  time.Time // when to try again
	fault error     // the error of the last attempt
}

// pending reports whether there is work to do.
func (p *preparation) pending() bool { return p.upgrading.Load() || p.revived.Load() }

// beginPreparation determines what must be done and tries to do it. It fails
// only if the file is damaged.
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

// prepare does the pending work, or returns why that failed. An attempt may
// write the whole file, so after a failure it waits ten times as long as the
// attempt took, and at least a second.
func (s *Store) prepare() error {
	p := &s.preparation
	if !p.pending() {
		return nil
	}
	started := time.Now()
	if p.fault != nil && started.Before(p.next) {
		return p.fault
	}
	if p.fault = s.tryPrepare(); p.fault != nil {
		p.next = time.Now().Add(max(time.Second, 10*time.Since(started)))
	}
	return p.fault
}

func (s *Store) tryPrepare() error {
	p := &s.preparation
	if p.upgrading.Load() {
		err := s.commitWith(func(tx *bbolt.Tx) error {
			id := uint64(tx.ID())
			// The last attempt failed, but its result is in the file.
			if p.sealed.Load() < id {
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

// verifyOld verifies a file without checksums again, because it may have been
// open for long. The upgrade gives everything in the file a valid checksum.
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

// upgrade adds checksums and a seal to an old file.
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
