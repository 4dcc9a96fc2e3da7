// Package ratelimit limits the rate of events per key, in bounded memory.
package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// overflow is the number of buckets that keys share when a table is full.
const overflow = 256

// A Group is a lock shared by several limiters, so that [Hold] can take from
// all of them atomically. The zero value is ready to use.
type Group struct{ mu sync.Mutex }

// A Limiter has a token bucket for each of many keys. An attempt is first
// held, and then either spent or given back. Attempts that are given back have
// no effect, even if other attempts came in between.
//
// When the table is full and no bucket can be dropped, new keys share a few
// buckets. So filling the table does not yield fresh buckets, and keys that are
// limited stay limited. A Limiter is safe for concurrent use.
type Limiter struct {
	group   *Group
	burst   int
	every   time.Duration
	maxKeys int
	seed    maphash.Seed

	// Guarded by group.mu:
	buckets map[string]*bucket
	shared  [overflow]bucket
	swept   time.Time
}

// A bucket records what one key has taken. It regains spent attempts one after
// the other.
type bucket struct {
	debt time.Duration // time until all spent attempts are returned, from at
	at   time.Time
	held int // attempts that are neither spent nor given back
}

// New returns a limiter that grants each key burst attempts at once, and one
// more per interval every. It has separate buckets for up to maxKeys keys.
func New(burst int, every time.Duration, maxKeys int) *Limiter {
	return new(Group).New(burst, every, maxKeys)
}

// New returns a limiter of the group.
func (g *Group) New(burst int, every time.Duration, maxKeys int) *Limiter {
	return &Limiter{group: g, burst: burst, every: every, maxKeys: maxKeys, seed: maphash.MakeSeed(), buckets: map[string]*bucket{}}
}

// A Claim is an attempt of a key.
type Claim struct {
	Limiter *Limiter
	Key     string
}

// A Held is an attempt taken from one or more limiters. It must be spent or
// given back; later calls have no effect.
type Held struct {
	claims  []Claim
	buckets []*bucket
	done    bool
}

// Hold takes one attempt for each claim. If any limiter refuses, it takes none
// and returns how long to wait. The limiters must belong to one group, and no
// bucket may be claimed twice.
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

// GiveBack undoes the attempt. It does nothing if h is nil.
func (h *Held) GiveBack() {
	h.end(func(c Claim, b *bucket) {
		if b.debt == 0 {
			c.Limiter.forget(c.Key, b, b.at)
		}
	})
}

// Spend uses up the attempt. The buckets regain it with time.
func (h *Held) Spend(now time.Time) {
	h.end(func(c Claim, b *bucket) { b.spend(c.Limiter.every, now) })
}

func (h *Held) end(settle func(Claim, *bucket)) {
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
		settle(h.claims[i], b)
	}
}

// Take takes and spends one attempt of key. If it is refused, Take returns how
// long to wait.
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

// refillTime returns the time until all spent attempts are returned.
func (b *bucket) refillTime(now time.Time) time.Duration {
	return max(0, b.debt-max(0, now.Sub(b.at)))
}

func (b *bucket) spend(every time.Duration, now time.Time) {
	b.debt, b.at = b.refillTime(now)+every, now
}

// wait returns the time until b allows one more attempt.
func (l *Limiter) wait(b *bucket, now time.Time) time.Duration {
	return max(0, b.refillTime(now)+time.Duration(b.held+1-l.burst)*l.every)
}

// bucket returns the bucket of a key. The group must be locked.
func (l *Limiter) bucket(key string, now time.Time) *bucket {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= l.maxKeys && now.Sub(l.swept) >= max(l.every, time.Second) {
		// Sweep at most once per interval, so that a flood does not cause a
		// sweep per request.
		l.swept = now
		for key, b := range l.buckets {
			l.forget(key, b, now)
		}
	}
	if len(l.buckets) >= l.maxKeys {
		return &l.shared[maphash.String(l.seed, key)%overflow]
	}
	b := new(bucket)
	l.buckets[key] = b
	return b
}

// forget drops the bucket of a key if a new one would be the same. The group
// must be locked.
func (l *Limiter) forget(key string, b *bucket, now time.Time) {
	if b.held == 0 && b.refillTime(now) == 0 && l.buckets[key] == b {
		delete(l.buckets, key)
	}
}
