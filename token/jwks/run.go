package jwks

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Run fetches the keys periodically until ctx is done, and returns the error
// of ctx. After a failure it retries with delays that double from one second
// to one minute.
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

// refresh fetches the keys. It returns the time until the next fetch, or 0
// after a failure.
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
