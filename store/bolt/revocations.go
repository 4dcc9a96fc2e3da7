package bolt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	bberrors "go.etcd.io/bbolt/errors"

	"wsauth/store"
	"wsauth/store/storekit"
)

// Revoke implements [store.Revocations]. It returns nil after the revocations
// have been synced to disk.
func (s *Store) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, s.limits.Revocations)
}

// Overfill implements [store.Overfiller].
func (s *Store) Overfill(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, math.MaxInt)
}

// revoke is Revoke with the given limit of entries.
func (s *Store) revoke(ctx context.Context, revocations []store.Revocation, limit int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := storekit.Prepare(time.Now(), revocations)
	if err != nil || len(prepared) == 0 {
		return err
	}
	return s.writer.write(ctx, func(t *transaction) error { return t.log.add(prepared, time.Now(), limit) })
}

// RevocationUsage implements [store.UsageReporter].
func (s *Store) RevocationUsage(ctx context.Context) (store.Usage, error) {
	usage := store.Usage{Limit: s.limits.Revocations, ReadOnly: s.writer.preparation.pending()}
	if err := ctx.Err(); err != nil {
		return usage, err
	}
	err := s.db.view(func(tx *checkedTx) error {
		usage.Entries = int(openLog(tx).counted())
		return nil
	})
	return usage, wrap(err)
}

// Read implements [store.Revocations].
func (s *Store) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	var page store.Page
	err := s.db.view(func(tx *checkedTx) (err error) {
		l := openLog(tx)
		if err := s.check(after, l.log.bucket.Sequence()); err != nil {
			return err
		}
		page, err = l.page(s.epoch, after.Sequence, time.Now())
		return err
	})
	return page, wrap(err)
}

// Wait implements [store.Revocations].
func (s *Store) Wait(ctx context.Context, after store.Cursor) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := s.writer.growth.notified() // before reading the log, so that no growth is missed
		last, err := s.last()
		if err != nil {
			return err
		}
		if err := s.check(after, last); err != nil || last > after.Sequence {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
		case <-s.writer.stop:
			return store.ErrClosed
		}
	}
}

// last returns the sequence number of the newest entry.
func (s *Store) last() (last uint64, err error) {
	err = s.db.view(func(tx *checkedTx) error {
		last = openTable(tx, logBucket).bucket.Sequence()
		return nil
	})
	return last, wrap(err)
}

// check returns ErrCursor if c is not a position in a log that ends at last.
func (s *Store) check(c store.Cursor, last uint64) error {
	if c != (store.Cursor{}) && (c.Epoch != s.epoch || c.Sequence > last) {
		return store.ErrCursor
	}
	return nil
}

// wrap adds the name of the package to an error, unless the contract defines
// the error.
func wrap(err error) error {
	switch {
	case err == nil, errors.Is(err, store.ErrCursor), errors.Is(err, ErrDamaged), refused(err):
		return err
	case errors.Is(err, bberrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	}
	return fmt.Errorf("store/bolt: %w", err)
}
