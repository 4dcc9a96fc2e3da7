package login

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	maxWaitingEach = 4    // passwords of one network or device that wait to be hashed
	maxWaitingName = 16   // of all known devices of one name
	maxWaiting     = 1024 // of all unknown clients, and of all known devices

	unknownWait    = 2 * time.Second // an unknown client that would wait longer is refused at once
	maxUnknownWait = 2 * unknownWait

	firstHash = 100 * time.Millisecond // estimate of how long the first hash takes
)

// A hashQueue limits how many passwords are hashed at a time, since each takes
// a processor and much memory. The others wait in two groups that take turns:
// unknown clients, among which networks take turns, and known devices, among
// which names take turns. So the hash of a known device starts after at most
// two others, however many unknown clients wait. A user with many devices or
// sessions gets no more turns than another user.
type hashQueue struct {
	slots int // hashes at a time

	mu        sync.Mutex
	running   int
	took      time.Duration // average duration of a hash
	known     waitingLines
	unknown   waitingLines // of clients that are not known devices
	lastKnown bool         // a known device had the last turn
}

func newHashQueue(slots int) *hashQueue {
	return &hashQueue{slots: slots, took: firstHash, known: newWaitingLines(), unknown: newWaitingLines()}
}

// A hashClient is the client for which a password is hashed.
type hashClient struct {
	key    string // takes turns with other keys: a network, or the name of a known device
	device string // the known device; "" for a network
}

// isKnown reports whether c is a known device.
func (c hashClient) isKnown() bool { return c.device != "" }

type hashClientKey struct{}

// withHashClient returns a context that tells [Users.Authenticate] which client
// it is called for.
func withHashClient(ctx context.Context, c hashClient) context.Context {
	return context.WithValue(ctx, hashClientKey{}, c)
}

// A busyError means that a password was not checked because too many others are
// waiting.
type busyError struct{ wait time.Duration }

func (e busyError) Error() string {
	return fmt.Sprintf("login: users: too many passwords are being checked: try again in %v", e.wait)
}

// enter waits for a turn to hash, until ctx is done. If it returns no error,
// the caller must call leave after the hash. A client that would wait too long
// gets a busyError.
func (q *hashQueue) enter(ctx context.Context) (leave func(), err error) {
	c, named := ctx.Value(hashClientKey{}).(hashClient)
	w := &waiter{turn: make(chan struct{}), device: c.device}
	q.mu.Lock()
	if q.running < q.slots { // no client waits
		q.running++
		q.mu.Unlock()
		return q.leaving(), nil
	}
	lines := &q.unknown
	if c.isKnown() {
		lines = &q.known
	}
	if wait := q.expected(lines, c.key); lines.waiting >= maxWaiting || named && lines.isFull(c) ||
		named && !c.isKnown() && wait > unknownWait {
		q.mu.Unlock()
		return nil, busyError{max(wait, time.Second)}
	}
	lines.add(c.key, w)
	q.mu.Unlock()

	var late <-chan time.Time // fires if hashes take longer than expected
	if named && !c.isKnown() {
		timer := time.NewTimer(maxUnknownWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.turn:
		return q.leaving(), nil
	case <-late:
		err = busyError{unknownWait}
	case <-ctx.Done():
		err = fmt.Errorf("login: users: too many passwords are being checked: %w", ctx.Err())
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !lines.remove(c.key, w) { // its turn has just come
		q.running--
		q.dispatch()
	}
	return nil, err
}

// expected returns how long one more client with this key would wait in lines.
// q.mu must be held.
func (q *hashQueue) expected(lines *waitingLines, key string) time.Duration {
	ahead, mine := 0, len(lines.byKey[key])
	for _, line := range lines.byKey {
		ahead += min(len(line), mine+1)
	}
	other := &q.known
	if lines == other {
		other = &q.unknown
	}
	ahead += min(other.waiting, ahead+1)
	return q.took * time.Duration(ahead+1) / time.Duration(q.slots)
}

// leaving records the start of a hash, and returns the function to call at its
// end.
func (q *hashQueue) leaving() func() {
	started := time.Now()
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.took = (3*q.took + time.Since(started)) / 4
		q.running--
		q.dispatch()
	}
}

// dispatch gives free slots to waiting clients. q.mu must be held.
func (q *hashQueue) dispatch() {
	for q.running < q.slots && q.known.waiting+q.unknown.waiting > 0 {
		q.lastKnown = q.known.waiting > 0 && (!q.lastKnown || q.unknown.waiting == 0)
		lines := &q.unknown
		if q.lastKnown {
			lines = &q.known
		}
		q.running++
		close(lines.next().turn)
	}
}

// A waiter is a password that waits to be hashed.
type waiter struct {
	turn   chan struct{} // closed on its turn
	device string        // of a hashClient
}

// A waitingLines contains a line of waiters for each key. The lines take turns.
type waitingLines struct {
	byKey   map[string][]*waiter
	order   []string // keys that have waiters, the next one first
	waiting int
}

func newWaitingLines() waitingLines { return waitingLines{byKey: map[string][]*waiter{}} }

// isFull reports whether c cannot wait, because the maximum number of passwords
// is already waiting for its network, its device, or all known devices of its
// name.
func (l *waitingLines) isFull(c hashClient) bool {
	line, same := l.byKey[c.key], 0
	for _, w := range line {
		if w.device == c.device {
			same++
		}
	}
	return same >= maxWaitingEach || len(line) >= maxWaitingName
}

func (l *waitingLines) add(key string, w *waiter) {
	if len(l.byKey[key]) == 0 {
		l.order = append(l.order, key)
	}
	l.byKey[key] = append(l.byKey[key], w)
	l.waiting++
}

// next removes and returns the waiter whose turn it is. At least one must be
// waiting.
func (l *waitingLines) next() *waiter {
	key := l.order[0]
	line := l.byKey[key]
	l.order = l.order[1:]
	if l.waiting--; len(line) == 1 {
		delete(l.byKey, key)
	} else {
		l.byKey[key] = line[1:]
		l.order = append(l.order, key)
	}
	return line[0]
}

// remove removes a waiter, and reports whether it was still there.
func (l *waitingLines) remove(key string, w *waiter) bool {
	at := slices.Index(l.byKey[key], w)
	if at < 0 {
		return false
	}
	l.waiting--
	if l.byKey[key] = slices.Delete(l.byKey[key], at, at+1); len(l.byKey[key]) == 0 {
		delete(l.byKey, key)
		l.order = slices.DeleteFunc(l.order, func(other string) bool { return other == key })
	}
	return true
}
