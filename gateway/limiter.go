package gateway

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A limiter holds a token bucket for each of many keys, in bounded memory. When there is no room for another, and no bucket that
// is full again and so can be forgotten, new keys share one bucket: nobody gains a fresh one by filling the table.
type limiter struct {
	burst int
	every time.Duration // time in which one attempt comes back
	most  int           // buckets

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
	shared  *rate.Limiter
	swept   time.Time
}

func newLimiter(burst int, every time.Duration, most int) *limiter {
	l := &limiter{burst: burst, every: every, most: most, buckets: map[string]*rate.Limiter{}}
	l.shared = l.newBucket()
	return l
}

// A reservation is an attempt that was taken and can be given back.
type reservation struct {
	taken *rate.Reservation
	at    time.Time
}

// giveBack puts the attempt back, as of the moment when it was taken.
func (r reservation) giveBack() { r.taken.CancelAt(r.at) }

// take takes one attempt of key, or none and says how long to wait.
func (l *limiter) take(key string, now time.Time) (reservation, time.Duration) {
	r := l.bucket(key, now).ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return reservation{}, wait
	}
	return reservation{r, now}, 0
}

func (l *limiter) bucket(key string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= l.most && now.Sub(l.swept) >= l.every {
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

// sweep forgets the buckets that are full: a new one would be the same. The caller holds the lock.
func (l *limiter) sweep(now time.Time) {
	for key, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
}

func (l *limiter) newBucket() *rate.Limiter { return rate.NewLimiter(rate.Every(l.every), l.burst) }
