package bolt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	bberrors "go.etcd.io/bbolt/errors"

	"wsauth/store"
)

// Revoke implements [store.Revocations]. It returns nil when the revocations
// are synced to disk.
func (s *Store) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, s.limits.Revocations)
}

// Overfill implements [store.Overfiller].
func (s *Store) Overfill(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, math.MaxInt)
}

// revoke is Revoke to a log of at most limit entries.
func (s *Store) revoke(ctx context.Context, revocations []store.Revocation, limit int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := store.Prepare(time.Now(), revocations)
	if err != nil || len(prepared) == 0 {
		return err
	}
	return s.write(ctx, func(t *transaction) error { return t.log.add(prepared, time.Now(), limit) })
}

// RevocationUsage implements [store.UsageReporter].
func (s *Store) RevocationUsage(ctx context.Context) (store.Usage, error) {
	usage := store.Usage{Limit: s.limits.Revocations, ReadOnly: s.preparation.pending()}
	if err := ctx.Err(); err != nil {
		return usage, err
	}
	err := s.view(func(tx *checkedTx) error {
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
	err := s.view(func(tx *checkedTx) (err error) {
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
		more := s.news() // before the look at the log, so as to miss nothing
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
		case <-s.stop:
			return store.ErrClosed
		}
	}
}

// last returns the sequence of the newest entry.
func (s *Store) last() (last uint64, err error) {
	err = s.view(func(tx *checkedTx) error {
		last = openTable(tx, logBucket).bucket.Sequence()
		return nil
	})
	return last, wrap(err)
}

// check returns ErrCursor for a place that is not in a log up to last.
func (s *Store) check(c store.Cursor, last uint64) error {
	if c != (store.Cursor{}) && (c.Epoch != s.epoch || c.Sequence > last) {
		return store.ErrCursor
	}
	return nil
}

// wrap says where an error comes from, unless it is one of the contract's.
func wrap(err error) error {
	switch {
	case err == nil, errors.Is(err, store.ErrCursor), errors.Is(err, ErrDamaged), refused(err):
		return err
	case errors.Is(err, bberrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	}
	return fmt.Errorf("store/bolt: %w", err)
}
