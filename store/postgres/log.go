package postgres

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// noTime is earlier than the expiry of any entry. With it, preparing entries
// drops none of them: the server drops those that have expired by its own
// clock.
var noTime time.Time

// Revoke implements [store.Revocations]. It returns nil after the synchronous
// standbys, if there are any, have confirmed the revocations.
func (s *Store) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, s.config.Limits.Revocations)
}

// Overfill implements [store.Overfiller].
func (s *Store) Overfill(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, revocations, math.MaxInt)
}

// revoke is like Revoke, with the given limit of revocations.
func (s *Store) revoke(ctx context.Context, revocations []store.Revocation, limit int) error {
	prepared, err := storekit.Prepare(noTime, revocations)
	if err != nil || len(prepared) == 0 {
		return cmp.Or(err, ctx.Err())
	}
	return s.add(ctx, &addition{revocations: prepared, limit: limit})
}

// Publish implements [store.Log].
func (s *Store) Publish(ctx context.Context, events ...store.Event) error {
	prepared, err := storekit.PrepareEvents(noTime, events)
	if err != nil || len(prepared) == 0 {
		return cmp.Or(err, ctx.Err())
	}
	for i, e := range prepared {
		prepared[i].Data = bytes.Clone(e.Data) // may be used after ctx is done
	}
	return s.add(ctx, &addition{events: prepared, limit: s.config.Limits.Revocations})
}

// RevocationUsage implements [store.UsageReporter].
func (s *Store) RevocationUsage(ctx context.Context) (store.Usage, error) {
	var usage store.Usage
	err := s.transact(ctx, reading, func(t *transaction) error {
		t.one(`select revocations, pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on' from head`,
			nil, &usage.Entries, &usage.ReadOnly)
		return nil
	})
	if err != nil {
		return store.Usage{Limit: s.config.Limits.Revocations}, err
	}
	usage.Limit = s.config.Limits.Revocations
	return usage, nil
}
