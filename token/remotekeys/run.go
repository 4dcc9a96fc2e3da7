package remotekeys

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Run fetches the keys now and again and again, until ctx is done, and returns
// its error. While fetches fail it tries after a second, and then after twice
// as long, up to a minute.
func (k *Keys) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		wait := k.refresh(ctx)
		if wait == 0 {
			wait, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(wait - rand.N(wait/10+1)) //nolint:gosec // spreads nodes in time, keeps no secret
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// refresh fetches the keys and returns after how long to do so again, 0 after a
// failure.
func (k *Keys) refresh(ctx context.Context) time.Duration {
	k.mu.Lock()
	done := (<-chan struct{})(k.fetching)
	if done == nil {
		done = k.begin(true)
	}
	k.mu.Unlock()
	select {
	case <-ctx.Done():
		return minRefresh
	case <-done:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil {
		return 0
	}
	wait := k.config.Refresh
	if age := k.current.Load().maxAge; age > 0 {
		wait = min(wait, max(age, minRefresh))
	}
	return wait
}

// Status is what an operator wants to know.
type Status struct {
	Keys    int       // how many there are
	Fetched time.Time // when they were fetched the last time; zero: never
	Err     error     // what the last fetch failed with; nil: it did not
}

// Status returns how it stands.
func (k *Keys) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{Err: k.failed}
	if current := k.current.Load(); current != nil {
		s.Keys, s.Fetched = len(current.set.Keys()), current.fetched
	}
	return s
}
