// Package ratelimit limits how often each of many may do something, in bounded
// memory.
package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// overflow is how many buckets the keys share for which a table has no room.
const overflow = 256

// A Group is a lock that several limiters share, so that [Hold] can take from
// all of them in one step. The zero value is ready to use.
type Group struct{ mu sync.Mutex }

// A Limiter holds a token bucket for each of many keys. A try is first held
// and then either spent or given back: what was given back leaves no trace,
// however many other tries came meanwhile. When there is no room for another
// key, and no bucket that is full again and so can be forgotten, new keys
// share a few buckets: nobody gains a fresh one by filling the table, and a
// key that is limited stays so. It is safe for concurrent use.
type Limiter struct {
	group *Group
	burst int
	every time.Duration
	most  int
	seed  maphash.Seed

	// Under group.mu:
	buckets map[string]*bucket
	shared  [overflow]bucket
	swept   time.Time
}

// A bucket is what one key has taken. Its tries come back one after the other.
type bucket struct {
	debt time.Duration // until all that were spent have come back, as of at
	at   time.Time
	held int // tries that are neither spent nor given back yet
}

// New makes a limiter that grants each key burst tries at once, and one more
// each time that every passes. It holds buckets for most keys.
func New(burst int, every time.Duration, most int) *Limiter {
	return new(Group).New(burst, every, most)
}

// New makes a limiter of the group.
func (g *Group) New(burst int, every time.Duration, most int) *Limiter {
	return &Limiter{group: g, burst: burst, every: every, most: most, seed: maphash.MakeSeed(), buckets: map[string]*bucket{}}
}

// A Claim is one try of a key.
type Claim struct {
	Limiter *Limiter
	Key     string
}

// A Held is a try that was taken from one or more limiters. It must be spent
// or given back; only the first of these counts.
type Held struct {
	claims  []Claim
	buckets []*bucket
	done    bool
}

// Hold takes one try of each claim, or none of any and says how long to wait.
// The limiters must be of one group, and each bucket be claimed once.
func Hold(now time.Time, claims ...Claim) (*Held, time.Duration) {
	group := claims[0].Limiter.group
	group.mu.Lock()
	defer group.mu.Unlock()
	h := &Held{claims: claims, buckets: make([]*bucket, len(claims))}
	var wait time.Duration
	for i, c := range claims {
		if c.Limiter.group != group {
			panic("ratelimit: Hold: limiters of two groups")
		}
		h.buckets[i] = c.Limiter.bucket(c.Key, now)
		wait = max(wait, c.Limiter.wait(h.buckets[i], now))
	}
	for i, b := range h.buckets {
		if wait == 0 {
			b.held++
		}
		claims[i].Limiter.forget(claims[i].Key, b, now) //nolint:gosec // there are as many buckets as claims
	}
	if wait > 0 {
		return nil, wait
	}
	return h, 0
}

// GiveBack undoes the try. A nil one is none.
func (h *Held) GiveBack() {
	h.end(func(c Claim, b *bucket) {
		if b.debt == 0 {
			c.Limiter.forget(c.Key, b, b.at)
		}
	})
}

// Spend uses the try up: from now on it comes back with time.
func (h *Held) Spend(now time.Time) {
	h.end(func(c Claim, b *bucket) { b.spend(c.Limiter.every, now) })
}

func (h *Held) end(how func(Claim, *bucket)) {
	if h == nil {
		return
	}
	group := h.claims[0].Limiter.group
	group.mu.Lock()
	defer group.mu.Unlock()
	if h.done {
		return
	}
	h.done = true
	for i, b := range h.buckets {
		b.held--
		how(h.claims[i], b)
	}
}

// Take takes and spends one try of key, or none and says how long to wait.
func (l *Limiter) Take(key string, now time.Time) time.Duration {
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	b := l.bucket(key, now)
	wait := l.wait(b, now)
	if wait == 0 {
		b.spend(l.every, now)
	}
	return wait
}

// owed returns how long it takes until all tries that were spent are back.
func (b *bucket) owed(now time.Time) time.Duration {
	return max(0, b.debt-max(0, now.Sub(b.at)))
}

func (b *bucket) spend(every time.Duration, now time.Time) {
	b.debt, b.at = b.owed(now)+every, now
}

// wait returns how long to wait for one more try of b: 0 if there is one.
func (l *Limiter) wait(b *bucket, now time.Time) time.Duration {
	return max(0, b.owed(now)+time.Duration(b.held+1-l.burst)*l.every)
}

// bucket returns the bucket of a key. The lock must be held.
func (l *Limiter) bucket(key string, now time.Time) *bucket {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= l.most && now.Sub(l.swept) >= max(l.every, time.Second) {
		l.swept = now // at most once per period, so that a flood cannot make it the cost of every request
		for key, b := range l.buckets {
			l.forget(key, b, now)
		}
	}
	if len(l.buckets) >= l.most {
		return &l.shared[maphash.String(l.seed, key)%overflow]
	}
	b := new(bucket)
	l.buckets[key] = b
	return b
}

// forget removes the bucket of a key if it is full: a new one would be the
// same. The lock must be held.
func (l *Limiter) forget(key string, b *bucket, now time.Time) {
	if b.held == 0 && b.owed(now) == 0 && l.buckets[key] == b {
		delete(l.buckets, key)
	}
}
