// Package memory implements package store in memory, within one process. It
// loses everything when the process ends. Use it in tests, or where it is
// acceptable that after a restart, all users must log in again and revoked
// tokens are valid until they expire. In a test, several nodes in one process
// can share a [Store] as their [store.Cluster].
package memory

import (
	"context"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// A Store is a [store.Cluster] in memory. It is safe for concurrent use. Create
// it with [New].
type Store struct {
	log
	tickets
	sessions
	nodes
	buckets
	records
}

var (
	_ store.Cluster       = (*Store)(nil)
	_ store.UsageReporter = (*Store)(nil)
)

// New returns an empty store.
func New(limits store.Limits) *Store {
	limits = storekit.Defaults(limits)
	return &Store{
		log:      newLog(limits),
		tickets:  newTickets(limits.Tickets),
		sessions: newSessions(limits.Sessions),
		nodes:    newNodes(),
		buckets:  newBuckets(),
		records:  newRecords(),
	}
}

// Now implements [store.Clock].
func (s *Store) Now(ctx context.Context) (time.Time, error) { return time.Now(), ctx.Err() }
