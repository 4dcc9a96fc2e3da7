package redis

import (
	"testing"

	"wsauth/store"
	"wsauth/store/storetest"
)

// TestRedisKeepsTheContract runs the suites of storetest on one server.
func TestRedisKeepsTheContract(t *testing.T) {
	server := sharedServer(t)
	storetest.Cluster(t, suites(func() Config {
		c := server.config()
		c.Timeout = patience // for a busy machine
		return c
	}))
}

// suites returns the configuration of the suites for stores with the
// configurations that config returns.
func suites(config func() Config) storetest.Config[store.Cluster] {
	return storetest.Config[store.Cluster]{
		Open: func(t *testing.T) store.Cluster { return mustOpen(t, config()) },
		OpenSmall: func(t *testing.T) store.Cluster {
			c := config()
			c.Limits = store.Limits{Revocations: 3, Tickets: 3, Sessions: 3, Events: 3}
			return mustOpen(t, c)
		},
		Reopen: func(t *testing.T, s store.Cluster) store.Cluster {
			c := s.(*Store).config
			if err := s.(*Store).Close(); err != nil {
				t.Error(err)
			}
			return mustOpen(t, c)
		},
		Join: func(t *testing.T, s store.Cluster) store.Cluster {
			other := mustOpen(t, s.(*Store).config)
			other.live.maxAge = 0 // the suites assert exact sums
			s.(*Store).live.maxAge = 0
			return other
		},
	}
}
