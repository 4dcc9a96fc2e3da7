package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

// memoryRevocations implements [Revocations] in memory.
type memoryRevocations struct {
	epoch string
	limit int

	mu      sync.Mutex
	last    uint64          // sequence number of the newest entry
	entries map[name]logged // current entries
	// By sequence number, including replaced and expired entries.
	log     []logged
	expires expiries
	more    chan struct{} // closed and replaced when the log grows
}

// logged is a revocation and its sequence number.
type logged struct {
	revocation Revocation
	sequence   uint64
}

func newMemoryRevocations(limit int) memoryRevocations {
	return memoryRevocations{
		epoch:   rand.Text(),
		limit:   limit,
		entries: map[name]logged{},
		more:    make(chan struct{}),
	}
}

// Revoke implements [Revocations].
func (m *memoryRevocations) Revoke(ctx context.Context, revocations ...Revocation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	merged, err := Prepare(now, revocations)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(now)
	merged = Uncovered(merged, m.everything())
	added := 0
	for _, r := range merged {
		if _, ok := m.entries[r.name()]; !ok && r.Target != TargetAll {
			added++
		}
	}
	if m.counted()+added > m.limit && added > 0 {
		return ErrFull
	}
	before := m.last
	for _, r := range merged {
		if m.put(r); r.Target == TargetAll {
			m.dropCovered()
		}
	}
	if m.last > before {
		close(m.more)
		m.more = make(chan struct{})
	}
	return nil
}

// everything returns the revocation of everything in the log, or the zero
// Revocation.
func (m *memoryRevocations) everything() Revocation {
	return m.entries[name{target: TargetAll}].revocation
}

// counted returns the number of entries that count towards the limit. The
// revocation of everything does not, because a full log must accept it.
func (m *memoryRevocations) counted() int {
	if m.everything().Target == TargetAll {
		return len(m.entries) - 1
	}
	return len(m.entries)
}

// dropCovered removes the entries that the revocation of everything covers.
func (m *memoryRevocations) dropCovered() {
	everything := m.everything()
	for n, e := range m.entries {
		if n.target != TargetAll && everything.Covers(e.revocation) {
			delete(m.entries, n)
		}
	}
}

// RevocationUsage implements [UsageReporter].
func (m *memoryRevocations) RevocationUsage(ctx context.Context) (Usage, error) {
	if err := ctx.Err(); err != nil {
		return Usage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(time.Now())
	return Usage{Entries: m.counted(), Limit: m.limit}, nil
}

// put appends r to the log, unless it changes nothing.
func (m *memoryRevocations) put(r Revocation) {
	old, known := m.entries[r.name()]
	if known {
		if r = r.Merge(old.revocation); r == old.revocation {
			return
		}
	} else {
		m.expires.add(r.name(), r.Expires.UnixMilli())
	}
	m.last++
	entry := logged{r, m.last}
	m.entries[r.name()] = entry
	m.log = append(m.log, entry)
}

// Read implements [Revocations].
func (m *memoryRevocations) Read(ctx context.Context, after Cursor) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(after); err != nil {
		return Page{}, err
	}
	now := time.Now()
	page := Page{Next: Cursor{Epoch: m.epoch, Sequence: after.Sequence}}
	first, _ := slices.BinarySearchFunc(m.log, after.Sequence+1, func(e logged, s uint64) int {
		return cmp.Compare(e.sequence, s)
	})
	for _, e := range m.log[first:] {
		if len(page.Revocations) == MaxPage {
			return page, nil
		}
		page.Next.Sequence = e.sequence
		if m.holds(e) && !e.revocation.Gone(now) {
			page.Revocations = append(page.Revocations, e.revocation)
		}
	}
	page.Next.Sequence = m.last
	return page, nil
}

// Wait implements [Revocations].
func (m *memoryRevocations) Wait(ctx context.Context, after Cursor) error {
	for {
		m.mu.Lock()
		err, last, more := m.check(after), m.last, m.more
		m.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil || last > after.Sequence {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

// check returns ErrCursor if c is not a position in the log.
func (m *memoryRevocations) check(c Cursor) error {
	if c != (Cursor{}) && (c.Epoch != m.epoch || c.Sequence > m.last) {
		return ErrCursor
	}
	return nil
}

// holds reports whether e is a current entry.
func (m *memoryRevocations) holds(e logged) bool {
	return m.entries[e.revocation.name()].sequence == e.sequence
}

// sweep removes expired entries, and compacts the log when half of it is
// obsolete.
func (m *memoryRevocations) sweep(now time.Time) {
	horizon := now.Add(-ClockSlack).UnixMilli()
	for n, ok := m.expires.due(horizon); ok; n, ok = m.expires.due(horizon) {
		if r := m.entries[n].revocation; r.Gone(now) {
			delete(m.entries, n)
		} else {
			m.expires.add(n, r.Expires.UnixMilli())
		}
	}
	if len(m.log) > 2*len(m.entries)+MaxPage {
		m.log = slices.DeleteFunc(m.log, func(e logged) bool { return !m.holds(e) })
	}
}
