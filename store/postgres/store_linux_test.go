package postgres

import (
	"testing"

	"wsauth/store"
	"wsauth/store/storetest"
)

// TestStoreKeepsTheContract checks the contract with the suites of storetest,
// with notifications, and through PgBouncer without them.
func TestStoreKeepsTheContract(t *testing.T) {
	direct := shared(t).dsn("app")
	for name, base := range map[string]Config{
		"direct":    {URL: direct, ListenURL: direct},
		"pgbouncer": {URL: bouncer(t)},
	} {
		configured := func(limits store.Limits) Config {
			c := newConfig(base.URL)
			c.ListenURL, c.Limits = base.ListenURL, limits
			return c
		}
		config := storetest.Config[*Store]{
			Open: func(t *testing.T) *Store { return open(t, configured(store.Limits{})) },
			OpenSmall: func(t *testing.T) *Store {
				return open(t, configured(store.Limits{Revocations: 3, Tickets: 3, Sessions: 3, Events: 3}))
			},
			Join: func(t *testing.T, s *Store) *Store { return open(t, s.config) },
			Reopen: func(t *testing.T, s *Store) *Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return open(t, s.config)
			},
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Cluster(t, config)
		})
	}
}
