package remotekeys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/token"
)

const (
	forgotten   = time.Minute // after which a kid that was not found is asked for again
	maxUnknown  = 256
	longestName = 256 // bytes of a kid
)

// Keys are the keys of one provider. It is safe for concurrent use.
type Keys struct {
	config  Config
	trusted string // the host and port that were configured
	client  *http.Client
	found   atomic.Pointer[string] // where the keys were the last time
	current atomic.Pointer[state]

	mu       sync.Mutex
	fetching chan struct{}        // closed at the end of the fetch that is under way; nil: none is
	failed   error                // what the last fetch failed with
	next     time.Time            // before it no kid causes a fetch
	unknown  map[string]time.Time // the kids that were not found, until when they are believed not to be there
}

// A state is what the last fetch that succeeded has brought.
type state struct {
	set     *token.KeySet
	kids    map[string]bool
	digest  [sha256.Size]byte
	fetched time.Time
	maxAge  time.Duration
}

// New reports every fault of the configuration at once. It fetches nothing:
// [Keys.Run] does, or the first token.
func New(c Config) (*Keys, error) {
	c, u, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	k := &Keys{config: c, trusted: hostPort(u), unknown: map[string]time.Time{}}
	transport := c.Transport
	if transport == nil {
		transport = newTransport(k.trusted, c.Timeout)
	}
	k.client = &http.Client{Transport: transport, CheckRedirect: checkRedirect(k.trusted)}
	return k, nil
}

// ErrUnavailable says that the keys cannot be fetched, so that nobody can know
// whether there is the one that is looked for.
var ErrUnavailable = errors.New("remotekeys: the keys of the provider cannot be fetched")

// KeySet implements token.KeySource. A kid that the set has costs nothing; for
// one that it has not the set may be fetched again, within Timeout and as
// seldom as MinInterval says. The error is [ErrUnavailable] or that of ctx.
func (k *Keys) KeySet(ctx context.Context, kid string) (*token.KeySet, error) {
	if s := k.current.Load(); s != nil && k.fresh(s) && (kid == "" || s.kids[kid]) {
		return s.set, nil
	}
	done, begun := k.ask(kid)
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return k.answer(kid, begun)
}

// fresh reports whether the keys may be used, however old they are.
func (k *Keys) fresh(s *state) bool {
	return k.config.MaxStale == 0 || time.Since(s.fetched) <= k.config.MaxStale
}

// ask begins a fetch for a kid that is not known, if that may be, and returns
// what to wait for, nil for nothing, and whether it has begun it.
func (k *Keys) ask(kid string) (done <-chan struct{}, begun bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	switch {
	case k.fetching != nil:
		return k.fetching, false
	case now.Before(k.next), now.Before(k.unknown[kid]):
		return nil, false
	}
	return k.begin(k.failed != nil), true // the keys may have moved
}

// answer is what is known now. A kid that is not there is not looked for again
// for a while, if it was looked for: the key may be newer than the last fetch.
func (k *Keys) answer(kid string, looked bool) (*token.KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.current.Load()
	switch {
	case s == nil || !k.fresh(s):
	case kid == "" || s.kids[kid]:
		return s.set, nil
	case k.failed == nil:
		if looked {
			k.remember(kid)
		}
		return s.set, nil
	case s.kids[""]: // a key without a name is for every kid, so that a known key may be the one
		return s.set, nil
	}
	if k.failed == nil {
		return nil, ErrUnavailable
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.failed)
}

// remember keeps a kid that is not there from causing fetches for a while.
func (k *Keys) remember(kid string) {
	if len(kid) > longestName || time.Now().Before(k.unknown[kid]) {
		return
	}
	if len(k.unknown) >= maxUnknown {
		clear(k.unknown) // MinInterval bounds what that costs
	}
	k.unknown[kid] = time.Now().Add(forgotten)
}

// begin starts the one fetch that may be under way. It does not end with the
// request that caused it, for others wait for it too. k.mu is held.
func (k *Keys) begin(again bool) <-chan struct{} {
	done := make(chan struct{})
	k.fetching = done
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), k.config.Timeout)
		defer cancel()
		d, err := k.fetch(ctx, again)
		k.end(d, err)
	}()
	return done
}

// end takes what a fetch has brought.
func (k *Keys) end(d document, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		err = k.take(d)
	}
	if err == nil {
		k.found.Store(&d.address)
	}
	if err != nil && k.failed == nil { // once for each outage
		k.config.Logger.Warn("the keys of a provider cannot be fetched", "issuer", k.config.Issuer, "url", k.config.URL, "err", err)
	}
	if err == nil && k.failed != nil {
		k.config.Logger.Info("the keys of a provider are fetched again", "issuer", k.config.Issuer, "url", k.config.URL)
	}
	k.failed, k.fetching = err, nil
	k.next = time.Now().Add(k.config.MinInterval)
}

// take makes the fetched set the current one. The same set keeps its pointer.
func (k *Keys) take(d document) error {
	next := &state{digest: sha256.Sum256(d.body), fetched: time.Now(), maxAge: d.maxAge, kids: map[string]bool{}}
	if s := k.current.Load(); s != nil && s.digest == next.digest {
		next.set, next.kids = s.set, s.kids
		k.current.Store(next)
		return nil
	}
	set, faults, err := token.ParsePublicKeySet(d.body)
	if err != nil {
		return fmt.Errorf("key set: %w", err)
	}
	for _, fault := range faults {
		k.config.Logger.Warn("a key of a provider cannot be used", "issuer", k.config.Issuer, "url", k.config.URL, "err", fault)
	}
	for _, key := range set.Keys() {
		next.kids[key.ID()] = true
	}
	next.set = set
	clear(k.unknown)
	k.current.Store(next)
	return nil
}
