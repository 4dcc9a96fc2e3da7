package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// nameOfAll is the name of the revocation of [store.TargetAll].
var nameOfAll = storekit.Name{Target: store.TargetAll}

// revocations implements [store.Revocations].
type revocations struct {
	epoch string
	limit int

	mu      sync.Mutex
	last    uint64                             // sequence number of the newest entry
	current expiringMap[storekit.Name, logged] // removed when obsolete
	// Sorted by sequence number; includes replaced and removed entries.
	log  []logged
	more chan struct{} // closed and replaced when the log grows
}

// logged is an entry of the log: a revocation and its sequence number.
type logged struct {
	revocation store.Revocation
	sequence   uint64
}

func newRevocations(limit int) revocations {
	return revocations{
		epoch:   rand.Text(),
		limit:   limit,
		current: newExpiringMap[storekit.Name, logged](),
		more:    make(chan struct{}),
	}
}

// Revoke implements [store.Revocations].
func (l *revocations) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	prepared, err := storekit.Prepare(now, revocations)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	prepared = storekit.Uncovered(prepared, l.all())
	added := 0
	for _, r := range prepared {
		if _, ok := l.current.get(storekit.NameOf(r)); !ok && r.Target != store.TargetAll {
			added++
		}
	}
	if l.counted()+added > l.limit && added > 0 {
		return store.ErrFull
	}
	before := l.last
	for _, r := range prepared {
		if l.put(r); r.Target == store.TargetAll {
			l.dropCovered()
		}
	}
	if l.last > before {
		close(l.more)
		l.more = make(chan struct{})
	}
	return nil
}

// all returns the revocation of [store.TargetAll], or the zero Revocation.
func (l *revocations) all() store.Revocation {
	entry, _ := l.current.get(nameOfAll)
	return entry.revocation
}

// counted returns the number of entries that count towards the limit. The
// revocation of [store.TargetAll] does not, because a full log must accept it.
func (l *revocations) counted() int {
	if l.all().Target == store.TargetAll {
		return l.current.len() - 1
	}
	return l.current.len()
}

// dropCovered removes the entries that the revocation of [store.TargetAll]
// covers.
func (l *revocations) dropCovered() {
	all := l.all()
	for name, entry := range l.current.items {
		if name != nameOfAll && all.Covers(entry.value.revocation) {
			l.current.remove(name)
		}
	}
}

// RevocationUsage implements [store.UsageReporter].
func (l *revocations) RevocationUsage(ctx context.Context) (store.Usage, error) {
	if err := ctx.Err(); err != nil {
		return store.Usage{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(time.Now())
	return store.Usage{Entries: l.counted(), Limit: l.limit}, nil
}

// put appends r to the log, unless it changes nothing.
func (l *revocations) put(r store.Revocation) {
	name := storekit.NameOf(r)
	if old, ok := l.current.get(name); ok {
		if r = r.Merge(old.revocation); r == old.revocation {
			return
		}
	}
	l.last++
	entry := logged{r, l.last}
	l.current.put(name, entry, r.Expires.Add(store.ClockSlack))
	l.log = append(l.log, entry)
}

// Read implements [store.Revocations].
func (l *revocations) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(after); err != nil {
		return store.Page{}, err
	}
	now := time.Now()
	page := store.Page{Next: store.Cursor{Epoch: l.epoch, Sequence: after.Sequence}, Now: now, Known: now}
	first, _ := slices.BinarySearchFunc(l.log, after.Sequence+1, func(e logged, s uint64) int {
		return cmp.Compare(e.sequence, s)
	})
	for _, e := range l.log[first:] {
		if len(page.Revocations) == store.MaxPage {
			return page, nil
		}
		page.Next.Sequence = e.sequence
		if l.isCurrent(e) && !e.revocation.Obsolete(now) {
			page.Revocations = append(page.Revocations, e.revocation)
		}
	}
	page.Next.Sequence, page.End = l.last, true
	return page, nil
}

// Wait implements [store.Revocations].
func (l *revocations) Wait(ctx context.Context, after store.Cursor) error {
	for {
		l.mu.Lock()
		err, last, more := l.check(after), l.last, l.more
		l.mu.Unlock()
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

// check returns ErrCursor if c is not a position in the log. l.mu must be
// held.
func (l *revocations) check(c store.Cursor) error {
	if c != (store.Cursor{}) && (c.Epoch != l.epoch || c.Sequence > l.last) {
		return store.ErrCursor
	}
	return nil
}

// isCurrent reports whether e has been neither replaced nor removed.
func (l *revocations) isCurrent(e logged) bool {
	current, _ := l.current.get(storekit.NameOf(e.revocation))
	return current.sequence == e.sequence
}

// sweep removes obsolete entries. It compacts the log when more than half of it
// consists of replaced or removed entries.
func (l *revocations) sweep(now time.Time) {
	l.current.sweep(now)
	if len(l.log) > 2*l.current.len()+store.MaxPage {
		l.log = slices.DeleteFunc(l.log, func(e logged) bool { return !l.isCurrent(e) })
	}
}
