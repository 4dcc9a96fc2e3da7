package login

import (
	"sync"
	"time"
)

const (
	seenLife     = 90 * 24 * time.Hour // how long a network is known after a login
	seenPerName  = 16                  // networks of one name
	maxSeenNames = 50_000
)

// seenNetworks records from which networks someone logged in under which name,
// in memory only. Only a login adds a network. A login evicts networks of
// another name only if there are already 50,000 names. seenNetworks is safe for
// concurrent use.
type seenNetworks struct {
	mu    sync.Mutex
	names map[string]map[string]time.Time // the last login, by name and pair
}

func newSeenNetworks() *seenNetworks {
	return &seenNetworks{names: map[string]map[string]time.Time{}}
}

// has reports whether someone logged in under the name from the network of
// pair within seenLife.
func (s *seenNetworks) has(pair, name string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.names[name][pair]
	return ok && now.Sub(last) < seenLife
}

// add records a login.
func (s *seenNetworks) add(pair, name string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pairs := s.names[name]
	if pairs == nil {
		if len(s.names) >= maxSeenNames {
			for other := range s.names { // a random one
				delete(s.names, other)
				break
			}
		}
		pairs = map[string]time.Time{}
		s.names[name] = pairs
	}
	if _, ok := pairs[pair]; !ok && len(pairs) >= seenPerName {
		oldest := ""
		for other, last := range pairs {
			if oldest == "" || last.Before(pairs[oldest]) {
				oldest = other
			}
		}
		delete(pairs, oldest)
	}
	pairs[pair] = now
}
