package memory

import (
	"bytes"
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

// log implements [store.Log].
type log struct {
	epoch      string
	limit      int // of revocations
	eventLimit int

	mu      sync.Mutex
	last    uint64                                 // sequence number of the newest entry
	current expiringMap[storekit.Name, revocation] // removed when obsolete
	events  expiringMap[storekit.EventName, event] // removed when expired
	entries []entry                                // sorted; includes replaced and removed ones
	more    chan struct{}                          // closed and replaced when the log grows
}

// A revocation is a [store.Revocation] in the log, with its sequence number.
type revocation struct {
	store.Revocation
	sequence uint64
}

// An event is a [store.Event] in the log, with its sequence number.
type event struct {
	store.Event
	sequence uint64
}

// An entry names a revocation, or an event if isEvent is set.
type entry struct {
	sequence uint64
	name     storekit.Name
	isEvent  bool
	event    storekit.EventName
}

func newLog(limits store.Limits) log {
	return log{
		epoch:      rand.Text(),
		limit:      limits.Revocations,
		eventLimit: limits.Events,
		current:    newExpiringMap[storekit.Name, revocation](),
		events:     newExpiringMap[storekit.EventName, event](),
		more:       make(chan struct{}),
	}
}

// Revoke implements [store.Revocations].
func (l *log) Revoke(ctx context.Context, revocations ...store.Revocation) error {
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
	l.wake(before)
	return nil
}

// Publish implements [store.Log].
func (l *log) Publish(ctx context.Context, events ...store.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	prepared, err := storekit.PrepareEvents(now, events)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now)
	added := 0
	for _, e := range prepared {
		if _, ok := l.events.get(storekit.EventNameOf(e)); !ok {
			added++
		}
	}
	if l.events.len()+added > l.eventLimit && added > 0 {
		return store.ErrFull
	}
	before := l.last
	for _, e := range prepared {
		e.Data = bytes.Clone(e.Data)
		l.last++
		l.events.put(storekit.EventNameOf(e), event{e, l.last}, e.Expires)
		l.entries = append(l.entries, entry{sequence: l.last, isEvent: true, event: storekit.EventNameOf(e)})
	}
	l.wake(before)
	return nil
}

// wake wakes the readers if the last sequence number is greater than before.
// l.mu must be held.
func (l *log) wake(before uint64) {
	if l.last > before {
		close(l.more)
		l.more = make(chan struct{})
	}
}

// all returns the revocation of [store.TargetAll], or the zero Revocation.
func (l *log) all() store.Revocation {
	all, _ := l.current.get(nameOfAll)
	return all.Revocation
}

// counted returns the number of revocations to which the limit applies. It
// excludes the revocation of [store.TargetAll], because a full log must accept
// it.
func (l *log) counted() int {
	if l.all().Target == store.TargetAll {
		return l.current.len() - 1
	}
	return l.current.len()
}

// dropCovered removes the revocations that the one of [store.TargetAll] covers.
func (l *log) dropCovered() {
	all := l.all()
	for name, item := range l.current.items {
		if name != nameOfAll && all.Covers(item.value.Revocation) {
			l.current.remove(name)
		}
	}
}

// RevocationUsage implements [store.UsageReporter].
func (l *log) RevocationUsage(ctx context.Context) (store.Usage, error) {
	if err := ctx.Err(); err != nil {
		return store.Usage{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(time.Now())
	return store.Usage{Entries: l.counted(), Limit: l.limit}, nil
}

// put appends r to the log, unless it changes nothing.
func (l *log) put(r store.Revocation) {
	name := storekit.NameOf(r)
	if old, ok := l.current.get(name); ok {
		if r = r.Merge(old.Revocation); r == old.Revocation {
			return
		}
	}
	l.last++
	l.current.put(name, revocation{r, l.last}, r.Expires.Add(store.ClockSlack))
	l.entries = append(l.entries, entry{sequence: l.last, name: name})
}

// Read implements [store.Revocations].
func (l *log) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.check(after); err != nil {
		return store.Page{}, err
	}
	now := time.Now()
	l.sweep(now)
	page := store.Page{Next: store.Cursor{Epoch: l.epoch, Sequence: after.Sequence}, Now: now, Known: now}
	first, _ := slices.BinarySearchFunc(l.entries, after.Sequence+1, func(e entry, s uint64) int {
		return cmp.Compare(e.sequence, s)
	})
	for _, e := range l.entries[first:] {
		if len(page.Revocations)+len(page.Events) == store.MaxPage {
			return page, nil
		}
		page.Next.Sequence = e.sequence
		switch {
		case !l.isCurrent(e):
		case e.isEvent:
			event, _ := l.events.get(e.event)
			page.Events = append(page.Events, event.Event)
		default:
			r, _ := l.current.get(e.name)
			page.Revocations = append(page.Revocations, r.Revocation)
		}
	}
	page.Next.Sequence, page.End = l.last, true
	return page, nil
}

// Wait implements [store.Revocations].
func (l *log) Wait(ctx context.Context, after store.Cursor) error {
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
func (l *log) check(c store.Cursor) error {
	if c != (store.Cursor{}) && (c.Epoch != l.epoch || c.Sequence > l.last) {
		return store.ErrCursor
	}
	return nil
}

// isCurrent reports whether e has been neither replaced nor removed.
func (l *log) isCurrent(e entry) bool {
	if e.isEvent {
		current, _ := l.events.get(e.event)
		return current.sequence == e.sequence
	}
	current, _ := l.current.get(e.name)
	return current.sequence == e.sequence
}

// sweep removes obsolete revocations and expired events. It compacts the log
// when more than half of it consists of replaced or removed entries.
func (l *log) sweep(now time.Time) {
	l.current.sweep(now)
	l.events.sweep(now)
	if len(l.entries) > 2*(l.current.len()+l.events.len())+store.MaxPage {
		l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return !l.isCurrent(e) })
	}
}
