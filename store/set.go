package store

import (
	"sync/atomic"
	"time"

	"wsauth/token"
)

// refilterAfter is the number of removed names after which a set rebuilds its
// filter, which cannot remove names.
const refilterAfter = 1 << 20

// set is a compact set of revocations. It is not safe for concurrent use,
// except for mayRevoke.
type set struct {
	spans [len(targets) + 1]map[string]span // by target and ID
	ids   atomic.Pointer[filter]            // IDs of all targets
	// Removed IDs that are still in the filter.
	forgotten int
	expires   expiries
}

// span holds the times of a revocation in milliseconds since 1970.
type span struct{ before, expires int64 }

func newSet() *set {
	s := &set{}
	s.ids.Store(newFilter())
	for _, target := range targets {
		s.spans[target] = map[string]span{}
	}
	return s
}

// put merges a canonical revocation into the set and reports whether this
// changed the set.
func (s *set) put(r Revocation) bool {
	old, known := s.spans[r.Target][r.ID]
	merged := r
	if known {
		held := restore(r.Target, r.ID, old.before, old.expires)
		if merged = r.Merge(held); merged == held {
			return false
		}
	} else {
		s.ids.Load().add(r.ID)
		s.expires.add(r.name(), r.Expires.UnixMilli())
	}
	kept := span{expires: merged.Expires.UnixMilli()}
	if merged.Target.dated() {
		kept.before = merged.Before.UnixMilli()
	}
	s.spans[r.Target][r.ID] = kept
	return true
}

// mayRevoke reports whether the set may have a revocation that concerns the
// token. False is always right, and is returned for most tokens that are not
// revoked. It may be called while the set changes; then it answers as before
// or after the change.
func (s *set) mayRevoke(c *token.Claims) bool {
	ids := s.ids.Load()
	return ids.mayHold("") || ids.mayHold(c.ID) || ids.mayHold(c.SessionID) || ids.mayHold(c.Subject) ||
		c.IssuerSubject != "" && ids.mayHold(c.IssuerSubject)
}

// revoked reports whether the set has a revocation that concerns the token.
func (s *set) revoked(c *token.Claims) bool {
	ids := s.ids.Load()
	for _, target := range targets {
		switch target {
		case TargetToken:
			if s.holds(ids, target, c.ID, c) {
				return true
			}
		case TargetSession:
			if s.holds(ids, target, c.SessionID, c) {
				return true
			}
		case TargetSubject, TargetSessionless:
			if s.holds(ids, target, c.Subject, c) || c.IssuerSubject != "" && s.holds(ids, target, c.IssuerSubject, c) {
				return true
			}
		default:
			if s.holds(ids, target, "", c) {
				return true
			}
		}
	}
	return false
}

// holds reports whether the set has a revocation with this target and ID that
// concerns the token.
func (s *set) holds(ids *filter, target Target, id string, c *token.Claims) bool {
	if !ids.mayHold(id) {
		return false
	}
	held, ok := s.spans[target][id]
	return ok && restore(target, id, held.before, held.expires).Concerns(c)
}

// sweep removes up to limit expired revocations and reports whether there may
// be more.
func (s *set) sweep(now time.Time, limit int) bool {
	horizon := now.Add(-ClockSlack).UnixMilli()
	for range limit {
		n, ok := s.expires.due(horizon)
		if !ok {
			return false
		}
		if held := s.spans[n.target][n.id]; held.expires > horizon {
			s.expires.add(n, held.expires)
		} else {
			delete(s.spans[n.target], n.id)
			s.forgotten++
		}
	}
	return true
}

// refilter rebuilds the filter if necessary. It scans all names.
func (s *set) refilter() {
	if s.forgotten < refilterAfter {
		return
	}
	s.forgotten = 0
	ids := newFilter()
	for _, target := range targets {
		for id := range s.spans[target] {
			ids.add(id)
		}
	}
	s.ids.Store(ids)
}

// len returns the number of revocations in the set.
func (s *set) len() int {
	n := 0
	for _, target := range targets {
		n += len(s.spans[target])
	}
	return n
}
