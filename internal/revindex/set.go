package revindex

import (
	"container/heap"
	"hash/maphash"
	"sync/atomic"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
	"wsauth/token"
)

// targets is one more than the greatest target.
const targets = store.TargetOlder + 1

// refilterAfter is the number of removed names after which a set rebuilds its
// filter, which cannot remove names.
const refilterAfter = 1 << 20

// A set is a compact set of revocations. It is not safe for concurrent use,
// except for mayRevoke.
type set struct {
	spans [targets]map[string]span // by target and ID; nil for target 0
	ids   atomic.Pointer[filter]   // IDs of all targets
	// forgotten is the number of removed IDs that are still in the filter.
	forgotten int
	expiries  expiryHeap // one for each revocation
}

// A span holds the times of a revocation in milliseconds since 1970.
type span struct {
	before  int64 // 0: none; for store.TargetOlder, Revocation.Generation
	expires int64
}

// revocation returns the canonical revocation with the times of s.
func (s span) revocation(target store.Target, id string) store.Revocation {
	r := store.Revocation{Target: target, ID: id, Expires: time.UnixMilli(s.expires).UTC()}
	switch {
	case target == store.TargetOlder:
		r.Generation = uint64(s.before)
	case s.before != 0:
		r.Before = time.UnixMilli(s.before).UTC()
	}
	return r
}

func newSet() *set {
	s := &set{}
	s.ids.Store(newFilter())
	for target := store.TargetToken; target < targets; target++ {
		s.spans[target] = map[string]span{}
	}
	return s
}

// put merges a canonical revocation into the set and reports whether this
// changed the set.
func (s *set) put(r store.Revocation) bool {
	if old, ok := s.spans[r.Target][r.ID]; ok {
		held := old.revocation(r.Target, r.ID)
		if r = r.Merge(held); r == held {
			return false
		}
	} else {
		s.ids.Load().add(r.ID)
		heap.Push(&s.expiries, expiry{r.Expires.UnixMilli(), storekit.NameOf(r)})
	}
	kept := span{expires: r.Expires.UnixMilli()}
	switch {
	case r.Target == store.TargetOlder:
		kept.before = int64(r.Generation)
	case !r.Before.IsZero():
		kept.before = r.Before.UnixMilli()
	}
	s.spans[r.Target][r.ID] = kept
	return true
}

// mayRevoke reports whether the set may have a revocation that concerns the
// token. False is always right, and is the result for most tokens that are not
// revoked. mayRevoke may be called while the set changes; its result is then
// right for the set before or after the change.
func (s *set) mayRevoke(c *token.Claims) bool {
	ids := s.ids.Load()
	return ids.mayHold("") || ids.mayHold(c.ID) || ids.mayHold(c.SessionID) || ids.mayHold(c.Subject) ||
		c.IssuerSubject != "" && ids.mayHold(c.IssuerSubject)
}

// revokes reports whether the set has a revocation that concerns the token.
func (s *set) revokes(c *token.Claims) bool {
	ids := s.ids.Load()
	return s.holds(ids, c.ID, c, store.TargetToken) ||
		s.holds(ids, c.SessionID, c, store.TargetSession, store.TargetOlder) ||
		s.holds(ids, "", c, store.TargetAll) ||
		s.holds(ids, c.Subject, c, store.TargetSubject, store.TargetSessionless) ||
		c.IssuerSubject != "" && s.holds(ids, c.IssuerSubject, c, store.TargetSubject, store.TargetSessionless)
}

// holds reports whether the set has a revocation with this ID, of one of the
// targets, that concerns the token.
func (s *set) holds(ids *filter, id string, c *token.Claims, targets ...store.Target) bool {
	if !ids.mayHold(id) {
		return false
	}
	for _, target := range targets {
		if held, ok := s.spans[target][id]; ok && Concerns(held.revocation(target, id), c) {
			return true
		}
	}
	return false
}

// sweep removes up to limit obsolete revocations and reports whether there may
// be more.
func (s *set) sweep(now time.Time, limit int) bool {
	horizon := now.Add(-store.ClockSlack).UnixMilli()
	for range limit {
		if len(s.expiries) == 0 || s.expiries[0].when > horizon {
			return false
		}
		first := &s.expiries[0]
		if held := s.spans[first.name.Target][first.name.ID]; held.expires > horizon { // it was extended
			first.when = held.expires
			heap.Fix(&s.expiries, 0)
			continue
		}
		delete(s.spans[first.name.Target], first.name.ID)
		s.forgotten++
		heap.Pop(&s.expiries)
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
	for _, spans := range s.spans {
		for id := range spans {
			ids.add(id)
		}
	}
	s.ids.Store(ids)
}

// len returns the number of revocations in the set.
func (s *set) len() int {
	n := 0
	for _, spans := range s.spans {
		n += len(spans)
	}
	return n
}

// An expiry is the earliest time at which a revocation may have expired, in
// milliseconds since 1970. The revocation may have been extended since.
type expiry struct {
	when int64
	name storekit.Name
}

// expiryHeap is a [heap.Interface] with the earliest expiry first.
type expiryHeap []expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].when < h[j].when }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiry)) }

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = expiry{}
	*h = (*h)[:last]
	return x
}

// filterWords is the number of words of a filter. They take 2 MiB.
const filterWords = 1 << 18

// A filter is a Bloom filter for the names in a set. It excludes most other
// names at a fraction of the cost of map lookups. For each name it sets two
// bits in one word. With a million names, about 1.5 % of other names pass. Its
// seed is random, so that clients cannot choose names that pass.
//
// Only one goroutine may add names at a time; any number may call mayHold
// meanwhile.
type filter struct {
	seed  maphash.Seed
	empty atomic.Bool // whether it contains the empty name
	words []atomic.Uint64
}

func newFilter() *filter {
	return &filter{seed: maphash.MakeSeed(), words: make([]atomic.Uint64, filterWords)}
}

func (f *filter) add(id string) {
	if id == "" {
		f.empty.Store(true)
		return
	}
	word, bits := f.place(id)
	word.Or(bits)
}

// mayHold reports whether id may have been added. False is always right.
func (f *filter) mayHold(id string) bool {
	if id == "" {
		return f.empty.Load()
	}
	word, bits := f.place(id)
	return word.Load()&bits == bits
}

// place returns the word of a name and the mask of its bits: two, or one if
// they coincide.
func (f *filter) place(id string) (word *atomic.Uint64, bits uint64) {
	h := maphash.String(f.seed, id)
	return &f.words[h%filterWords], 1<<(h>>58) | 1<<(h>>52&63)
}
