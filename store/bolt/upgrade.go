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

// A preparation is work that must be done before the first write to a file. It
// may remain pending while there is too little disk space.
type preparation struct {
	upgrading atomic.Bool // the file has an old format
	revived   atomic.Bool // all tickets are invalid; see [ticketTable.revived]
	format    int         // of the file when it was opened

	// Used by the writer only.
	next  time.Time // when to try again
	fault error     // the error of the last attempt
}

// newPreparation determines what must be done and tries to do it. It fails
// only if the file is damaged. now is the time of the ticket clock.
func newPreparation(db *database, format int, now time.Time) (*preparation, error) {
	p := &preparation{format: format}
	p.upgrading.Store(formats[format] != currentFormat)
	if format == 1 {
		db.sealed.Store(math.MaxUint64)
	}
	err := db.view(func(tx *checkedTx) error {
		p.revived.Store(openTickets(tx).revived(now))
		return nil
	})
	if err == nil {
		err = p.prepare(db)
	}
	if errors.Is(err, ErrDamaged) {
		return nil, err
	}
	return p, nil
}

// pending reports whether there is work to do.
func (p *preparation) pending() bool { return p.upgrading.Load() || p.revived.Load() }

// prepare does the pending work, or returns an error. An attempt may write the
// whole file. After a failure, prepare makes no new attempt for ten times as
// long as the last one took, and for at least a second. During that time, it
// returns the last error.
func (p *preparation) prepare(db *database) error {
	if !p.pending() {
		return nil
	}
	started := time.Now()
	if p.fault != nil && started.Before(p.next) {
		return p.fault
	}
	if p.fault = p.tryPrepare(db); p.fault != nil {
		p.next = time.Now().Add(max(time.Second, 10*time.Since(started)))
	}
	return p.fault
}

func (p *preparation) tryPrepare(db *database) error {
	if p.upgrading.Load() {
		upgrade := db.rename
		if p.format == 1 {
			upgrade = db.upgrade
		}
		if err := upgrade(); err != nil {
			return fmt.Errorf("upgrade the file: %w", err)
		}
		p.upgrading.Store(false)
	}
	if p.revived.Load() {
		if err := db.update((*transaction).dropTickets); err != nil {
			return fmt.Errorf("remove the tickets of before the clock was set back: %w", err)
		}
		p.revived.Store(false)
	}
	return nil
}

// rename upgrades a file of format 2, whose records are all valid in the
// current format. Earlier versions cannot read all new records, so they must
// refuse the file afterwards.
func (db *database) rename() error {
	return db.update(func(t *transaction) error {
		return t.log.count.meta.put(formatKey, []byte(currentFormat))
	})
}

// upgrade adds checksums and a seal to a file of format 1.
func (db *database) upgrade() error {
	return db.commit(func(tx *bbolt.Tx) error {
		id := uint64(tx.ID())
		// The previous attempt returned an error, but its result is in the file.
		if db.sealed.Load() < id {
			checked := db.checked(tx, &sum{})
			defer checked.trees.close()
			return openTransaction(checked).close()
		}
		if err := db.verifyOld(tx); err != nil {
			return err
		}
		db.sealed.Store(id)
		return addChecksums(tx)
	})
}

// verifyOld verifies a file without checksums again, because it may have been
// damaged since it was opened. The upgrade gives everything in the file a valid
// checksum, so later checks would not detect the damage.
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

// addChecksums adds checksums and a seal to an old file.
func addChecksums(tx *bbolt.Tx) error {
	var all sum
	for _, name := range buckets {
		b := tx.Bucket(name)
		var keys, values [][]byte
		err := b.ForEach(func(key, value []byte) error {
			if bytes.Equal(name, metaBucket) && bytes.Equal(key, formatKey) {
				value = []byte(currentFormat)
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
