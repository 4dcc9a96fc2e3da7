package wsauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/internal/ratelimit"
	"wsauth/store"
	"wsauth/token"
)

const (
	// countPatience is how long the guard waits for Config.Counters.
	countPatience = time.Second

	// A lowered count is sent to the store at once, unless the count of its key
	// was sent within flushEvery. Then it waits for the next flush, at most
	// flushEvery, or flushFailed after an error.
	flushEvery  = 200 * time.Millisecond
	flushFailed = time.Second

	// evictAfter is the time from the admission of a socket that exceeds a
	// limit until the oldest socket ends. It is longer than flushEvery: if the
	// client has only moved a socket to this node, the previous node sends its
	// lower count in this time, and no socket has to end. A wider limit waits
	// longer; see sharedCounts.tally.
	evictAfter = 300 * time.Millisecond

	// maxFlushers is the maximum number of counts that are sent to the store at
	// the same time in the background.
	maxFlushers = 16

	// resendAfter is how long after an error a count is sent again, in case the
	// failed call has taken effect late.
	resendAfter = 5 * time.Second

	// measureEvery is how often the clock of the store is compared with ours.
	measureEvery = time.Minute

	// eventEvict is the kind of the event that tells a node to end its oldest
	// socket of a key. The ID of the event is the key, and its data is the ID
	// of the node.
	eventEvict = "wsauth.evict"

	evictKept  = time.Minute // how long the log keeps such an event
	evictEvery = time.Second // minimum time between two of them for one key
)

// sharedCounts counts the sockets of this node in a store, so that limits hold
// for all nodes together. It counts only sockets whose clients have
// authenticated, so that nobody else can make it call the store.
//
// The count of this node in the store is at least the number of its open
// sockets: it is raised before a socket is admitted, and lowered after one has
// ended.
type sharedCounts struct {
	store     store.Counters
	events    store.Log // nil unless sockets may be evicted
	node      func() string
	sockets   *registry
	evictions [nameKinds]*ratelimit.Limiter // nil unless sockets may be evicted
	clock     store.Clock                   // nil if the store has none
	ahead     atomic.Int64                  // lead of clock over ours, a time.Duration

	ctx  context.Context
	stop context.CancelFunc

	mu       sync.Mutex // guards the following fields, and all tallies; locked after registry.mu
	tallies  map[string]*tally
	changed  []*tally // sent by the next flush
	due      []*tally // sent now, by sendDue
	flushers int      // goroutines that execute sendDue
	timed    bool     // a flush is scheduled
	failed   bool     // a call has failed since the last flush
	measured time.Time
	counted  string // the ID of the node at the last recount
}

// newSharedCounts returns the counts of a registry, or nil if no limit needs
// them.
func newSharedCounts(c Config, sockets *registry) *sharedCounts {
	l := c.Limits
	if c.Counters == nil || l.PerSubject+l.PerSession+l.PerAddress == 0 {
		return nil
	}
	s := &sharedCounts{store: c.Counters, node: c.Node, sockets: sockets, tallies: map[string]*tally{}, counted: c.Node()}
	s.clock, _ = c.Counters.(store.Clock)
	s.ctx, s.stop = context.WithCancel(context.Background())
	if l.WhenFull == EndOldest {
		s.events = c.Revocations.(store.Log)
		for kind := range nameKinds {
			if most := l.most(kind); most > 0 {
				burst := max(most, minEvictions)
				s.evictions[kind] = ratelimit.New(burst, evictionPeriod/time.Duration(burst), maxAddresses)
			}
		}
	}
	return s
}

// most returns the maximum number of sockets of one name of a kind, or 0 if
// there is no limit.
func (l Limits) most(kind nameKind) int {
	switch kind {
	case bySession:
		return l.PerSession
	case bySubject:
		return l.PerSubject
	case byAddress:
		return l.PerAddress
	}
	return 0
}

// sharedKinds are the kinds of names that have limits, in the order in which
// all nodes reserve places. Narrower limits come first; see appendQuotas.
var sharedKinds = [...]nameKind{bySession, bySubject, byAddress}

// maxCountKey is the maximum length of a key in bytes. A key must fit in the ID
// of an event, so countKey hashes longer ones.
const maxCountKey = 256

// countKey returns the key of a name in the store.
func countKey(kind nameKind, name string) string {
	key := [nameKinds]string{bySession: "sid:", bySubject: "sub:", byAddress: "net:"}[kind] + name
	if len(key) > maxCountKey {
		sum := sha256.Sum256([]byte(key))
		return key[:len("sid")] + "#" + hex.EncodeToString(sum[:])
	}
	return key
}

// A reservation holds places for one socket, one under each limit that applies
// to it. A nil reservation holds none.
type reservation struct {
	counts  *sharedCounts
	tallies []*tally // nil once released or committed
}

// A place represents a socket that waits for room under one limit.
type place struct {
	decided   chan error // receives nil if the socket gets the place, else the refusal
	abandoned bool       // the socket no longer waits
}

// reserve reserves places for a socket with these claims. It waits for the
// store for at most countPatience. It fails with RateLimited if a limit is
// reached, and with StoreUnavailable if the store does not answer.
func (c *sharedCounts) reserve(ctx context.Context, network string, claims *token.Claims) (*reservation, error) {
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	names := [nameKinds]string{bySession: claims.SessionID, bySubject: claims.Subject, byAddress: network}
	r := &reservation{counts: c}
	for _, kind := range sharedKinds {
		if c.sockets.limits.most(kind) == 0 || names[kind] == "" && kind != byAddress {
			continue
		}
		t, err := c.take(ctx, kind, names[kind], claims.Subject)
		if err != nil {
			r.release()
			return nil, err
		}
		r.tallies = append(r.tallies, t)
	}
	return r, nil
}

// take waits for a place under one limit, and returns its tally.
func (c *sharedCounts) take(ctx context.Context, kind nameKind, name, subject string) (*tally, error) {
	p := &place{decided: make(chan error, 1)}
	c.mu.Lock()
	t := c.tally(kind, name, subject)
	t.waiting = append(t.waiting, p)
	c.start(t)
	c.mu.Unlock()
	select {
	case err := <-p.decided:
		return t, err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case err := <-p.decided: // in the meantime
		return t, err
	default:
	}
	p.abandoned = true
	t.waiting = slices.DeleteFunc(t.waiting, func(other *place) bool { return other == p })
	return nil, refuse(StoreUnavailable, ctx.Err())
}

// tally returns the tally of a name, and creates it if there is none. c.mu must
// be held.
func (c *sharedCounts) tally(kind nameKind, name, subject string) *tally {
	key := countKey(kind, name)
	t, ok := c.tallies[key]
	if !ok {
		if kind == byAddress || len(subject) > maxCountKey {
			subject = ""
		}
		t = &tally{kind: kind, name: name, key: key, subject: subject, most: c.sockets.limits.most(kind), known: true}
		// Wait until a socket could end for a narrower limit: that often makes
		// room under this one, too.
		for _, narrower := range sharedKinds {
			if c.sockets.limits.most(narrower) > 0 {
				t.evictAfter += evictAfter
			}
			if narrower == kind {
				break
			}
		}
		c.tallies[key] = t
	}
	return t
}

// commit keeps the places for a socket that has been registered.
func (r *reservation) commit() {
	if r != nil {
		r.tallies = nil
	}
}

// release gives back the places, unless they have been committed.
func (r *reservation) release() {
	if r == nil {
		return
	}
	r.counts.mu.Lock()
	defer r.counts.mu.Unlock()
	for _, t := range r.tallies {
		r.counts.lower(t)
	}
	r.tallies = nil
}

// ended gives back the place of a registered socket under one limit. It does
// not block.
func (c *sharedCounts) ended(kind nameKind, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lower(c.tallies[countKey(kind, name)])
}

// lower lowers a tally by one. c.mu must be held.
func (c *sharedCounts) lower(t *tally) {
	t.held--
	switch {
	case t.running: // run sends the new count
	case time.Since(t.called) < flushEvery:
		c.changes(t)
	case !t.changed:
		t.changed = true
		c.due = append(c.due, t)
		c.startFlushers()
	}
}

// requested handles an event of kind eventEvict. If the event is for this node,
// run asks the store again, and ends a socket if the limit is still exceeded.
func (c *sharedCounts) requested(e store.Event) {
	if c == nil || string(e.Data) != c.node() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.tallies[e.ID]; ok {
		t.over, t.evictFrom, t.send = true, time.Now(), true
		c.start(t)
	}
}

// offset returns how far the clock of the store is ahead of ours. The first
// call waits for the store; later ones measure in the background.
func (c *sharedCounts) offset() time.Duration {
	if c.clock == nil {
		return 0
	}
	c.mu.Lock()
	first := c.measured.IsZero()
	measure := first || time.Since(c.measured) > measureEvery
	if measure {
		c.measured = time.Now()
	}
	c.mu.Unlock()
	switch {
	case first:
		c.measure()
	case measure:
		go c.measure()
	}
	return time.Duration(c.ahead.Load())
}

// measure compares the clock of the store with ours. If the store does not
// answer, the last result remains.
func (c *sharedCounts) measure() {
	ctx, cancel := context.WithTimeout(c.ctx, countPatience)
	defer cancel()
	before := time.Now()
	if now, err := c.clock.Now(ctx); err == nil {
		c.ahead.Store(int64(now.Round(0).Sub(before.Add(time.Since(before) / 2).Round(0))))
	}
}
