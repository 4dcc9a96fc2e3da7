// Package memory implements package store in memory, within one process. It
// loses everything when the process ends. Use it in tests, or where it is
// acceptable that after a restart all users must log in again and revoked
// tokens are valid until they expire.
package memory

import (
	"context"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// A Store is a [store.Store] in memory. It is safe for concurrent use. Create
// it with [New].
type Store struct {
	revocations
	tickets
	sessions
}

var (
	_ store.Store         = (*Store)(nil)
	_ store.UsageReporter = (*Store)(nil)
)

// New returns an empty store.
func New(limits store.Limits) *Store {
	limits = storekit.Defaults(limits)
	return &Store{
		revocations: newRevocations(limits.Revocations),
		tickets:     newTickets(limits.Tickets),
		sessions:    newSessions(limits.Sessions),
	}
}

// Now implements [store.Clock].
func (s *Store) Now(ctx context.Context) (time.Time, error) { return time.Now(), ctx.Err() }
