package gateway

import (
	"errors"
	"sync"
	"time"
)

// errDenylistFull means that a session cannot be denied, and so was not ended.
var errDenylistFull = errors.New("gateway: the denylist is full")

// A denylist remembers the sessions that were ended, each until no token of it can be valid any more. It lives in memory: a
// restart forgets it.
type denylist struct {
	most int // entries

	mu   sync.RWMutex
	ends map[string]time.Time // until when each is remembered
}

func newDenylist(most int) *denylist {
	return &denylist{most: most, ends: map[string]time.Time{}}
}

// add denies key for ttl. A list that is full of entries which still matter refuses: to forget one of them would let an ended
// session live again.
func (d *denylist) add(key string, now time.Time, ttl time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.ends[key]; !there && len(d.ends) >= d.most {
		d.forget(now)
		if len(d.ends) >= d.most {
			return errDenylistFull
		}
	}
	d.ends[key] = now.Add(ttl)
	return nil
}

// has reports whether key is denied at now.
func (d *denylist) has(key string, now time.Time) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	end, there := d.ends[key]
	return there && !now.After(end)
}

// forget drops what no longer matters. The caller holds the lock.
func (d *denylist) forget(now time.Time) {
	for key, end := range d.ends {
		if now.After(end) {
			delete(d.ends, key)
		}
	}
}
