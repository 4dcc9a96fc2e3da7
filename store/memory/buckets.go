package memory

import (
	"context"
	"sync"
	"time"

	"wsauth/store"
)

// buckets implements [store.Buckets]. A bucket is stored as the time at which
// it is full again. Full buckets are not stored.
type buckets struct {
	mu   sync.Mutex
	full expiringMap[string, time.Time]
}

func newBuckets() buckets { return buckets{full: newExpiringMap[string, time.Time]()} }

// Take implements [store.Buckets].
func (b *buckets) Take(ctx context.Context, key string, interval time.Duration, burst int) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckBucket(key, interval, burst); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.full.sweep(now)
	full, ok := b.full.get(key)
	if !ok {
		full = now
	}
	full = full.Add(interval)
	if wait := full.Sub(now) - interval*time.Duration(burst); wait > 0 {
		return wait, nil
	}
	b.full.put(key, full, full)
	return 0, nil
}

// Refill implements [store.Buckets].
func (b *buckets) Refill(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full.remove(key)
	return nil
}
