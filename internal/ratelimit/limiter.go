// Package ratelimit limits how often each of many may do something, in bounded
// memory.
package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter holds a token bucket for each of many keys. When there is no room
// for another, and no bucket that is full again and so can be forgotten, new
// keys share one bucket: nobody gains a fresh one by filling the table. It is
// safe for concurrent use.
type Limiter struct {
	burst int
	every time.Duration
	most  int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	shared  *rate.Limiter
	swept   time.Time
}

// New makes a limiter that grants each key burst tries at once, and one more
// each time that every passes. It holds buckets for most keys.
func New(burst int, every time.Duration, most int) *Limiter {
	l := &Limiter{burst: burst, every: every, most: most, buckets: map[string]*rate.Limiter{}}
	l.shared = l.newBucket()
	return l
}

// A Reservation is a try that was taken and can be given back.
type Reservation struct {
	limiter *Limiter
	taken   *rate.Reservation
	at      time.Time
}

// GiveBack puts the try back, as of the moment when it was taken.
func (r Reservation) GiveBack() {
	r.limiter.mu.Lock()
	defer r.limiter.mu.Unlock()
	r.taken.CancelAt(r.at)
}

// Take takes one try of key, or none and says how long to wait.
//
// It is one step: a refused try is reserved and cancelled, and of two that
// overlap the first would not get back what it has reserved.
func (l *Limiter) Take(key string, now time.Time) (Reservation, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.bucket(key, now).ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return Reservation{}, wait
	}
	return Reservation{l, r, now}, 0
}

// bucket returns the bucket of a key. The caller holds the lock.
func (l *Limiter) bucket(key string, now time.Time) *rate.Limiter {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= l.most && now.Sub(l.swept) >= max(l.every, time.Second) {
		l.swept = now // at most once per period, so that a flood cannot make it the cost of every request
		l.sweep(now)
	}
	if len(l.buckets) >= l.most {
		return l.shared
	}
	b := l.newBucket()
	l.buckets[key] = b
	return b
}

// sweep forgets the buckets that are full: a new one would be the same. The
// caller holds the lock.
func (l *Limiter) sweep(now time.Time) {
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
}

func (l *Limiter) newBucket() *rate.Limiter { return rate.NewLimiter(rate.Every(l.every), l.burst) }

// Network is what one client can hold of the address space: an IPv4 address,
// or a /64 of IPv6. It is "" for an address that is not one of TCP's: all such
// clients count as one.
func Network(remoteAddr string) string {
	addrPort, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return ""
	}
	addr := addrPort.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}
